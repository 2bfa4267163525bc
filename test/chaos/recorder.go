package chaos

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/ledger"
)

// recorder writes down what MQTT clients and their broker said to each other, as
// it passed the proxies, and tells of each event what became of it. It keeps some
// sixty bytes of each packet.
type recorder struct {
	began time.Time

	mu    sync.Mutex
	book  *ledger.Book
	lines map[string]*line
	open  map[holding]ledger.Name
	notes []note
}

// line is a connection.
type line struct {
	client   string
	number   uint64
	listens  bool // the broker has said that it is subscribed
	up, down wire
}

// holding is a packet's id in a session: the broker's own, or the client's.
type holding struct {
	client string
	byUs   bool // given by the client
	id     uint16
}

// note is a packet that passed, the end of a connection, or a mark.
type note struct {
	at    time.Duration
	line  *line
	kind  byte // 0: the connection has ended
	flags byte
	code  byte
	up    bool
	named bool
	id    uint16
	event ledger.Name
	mark  string
}

func newRecorder() *recorder {
	return &recorder{began: time.Now(), lines: map[string]*line{}, open: map[holding]ledger.Name{}}
}

// Begin implements [Witness].
func (r *recorder) Begin(b *ledger.Book) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.book = b
}

// Mark implements [Witness].
func (r *recorder) Mark(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, note{at: time.Since(r.began), mark: what})
}

// tap hears one proxy.
func (r *recorder) tap(proxy string) func(fault.Passed) {
	return func(p fault.Passed) {
		r.mu.Lock()
		defer r.mu.Unlock()
		name := fmt.Sprint(proxy, p.Pair)
		l := r.lines[name]
		if l == nil {
			l = &line{client: "?", number: p.Pair}
			r.lines[name] = l
		}
		switch {
		case p.Data == nil:
			r.notes = append(r.notes, note{at: time.Since(r.began), line: l})
			delete(r.lines, name)
		case p.ToServer:
			l.up.more(p.Data, func(p packet) { r.hear(l, p, true) })
		default:
			l.down.more(p.Data, func(p packet) { r.hear(l, p, false) })
		}
	}
}

// listeners is how many connections have subscribed.
func (r *recorder) listeners() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lines {
		if l.listens {
			n++
		}
	}
	return n
}

func (r *recorder) hear(l *line, p packet, up bool) {
	n := note{at: time.Since(r.began), line: l, kind: p.kind, flags: p.flags, code: p.code(), up: up, id: p.id()}
	if p.kind == connack {
		n.flags = p.body[0]
	}
	if p.kind == connect {
		l.client = p.client()
	}
	l.listens = p.kind == suback || l.listens && p.kind != unsubscribe
	h := holding{client: l.client, byUs: p.kind == publish == up, id: n.id}
	switch {
	case kinds[p.kind] == "":
		return
	case p.kind == publish && r.book != nil:
		if n.event, n.named = r.book.Names(p.body); n.named {
			r.open[h] = n.event
		}
	case p.kind > publish && p.kind <= pubcomp:
		h.byUs = up == (p.kind == pubrel)
		n.event, n.named = r.open[h]
	}
	r.notes = append(r.notes, n)
}

func (n note) way() string {
	if n.up {
		return "->"
	}
	return "<-"
}

func (n note) String() string {
	if n.mark != "" {
		return fmt.Sprintf("%9.3fs  %s", n.at.Seconds(), n.mark)
	}
	said := fmt.Sprintf("%9.3fs  %s %d %s ", n.at.Seconds(), n.line.client, n.line.number, n.way())
	switch n.kind {
	case 0:
		return fmt.Sprintf("%9.3fs  %s %d ends", n.at.Seconds(), n.line.client, n.line.number)
	case publish:
		return said + fmt.Sprintf("PUBLISH id %d qos %d again %d", n.id, n.flags>>1&3, n.flags>>3)
	case connack:
		return said + fmt.Sprintf("CONNACK present %d code %#x", n.flags&1, n.code)
	}
	return said + fmt.Sprintf("%s id %d code %#x", kinds[n.kind], n.id, n.code)
}

// fate is what a lost event's story says about who lost it.
type fate string

const (
	acked    fate = "acked by the trigger, and never run"
	held     fate = "sent to the trigger, which has it still and has neither run nor acked it"
	withheld fate = "sent to the trigger, not acked, and not sent again after the connection was made anew"
	unsent   fate = "never sent to the trigger"
)

// fateOf looks at the last that happened to e on its way to the function.
func (r *recorder) fateOf(e ledger.Name) fate {
	f := unsent
	var last *line
	for i := range r.notes {
		n := &r.notes[i]
		switch mine := n.named && n.event == e; {
		case mine && n.kind == publish && !n.up:
			f, last = held, n.line
		case mine && n.up && (n.kind == puback || n.kind == pubrec):
			return acked
		case n.kind == 0 && n.line != nil && n.line == last && f == held:
			f = withheld
		}
	}
	return f
}

// Story implements [Witness]: what became of the events, and when what was done
// to all of them.
func (r *recorder) Story(lost []ledger.Name) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s strings.Builder
	counts := map[fate]int{}
	for i, e := range lost {
		f := r.fateOf(e)
		if counts[f]++; i >= storiesTold {
			continue
		}
		fmt.Fprintf(&s, "k%d: %d was %s\n", e.Key, e.Number, f)
		for _, n := range r.notes {
			if n.named && n.event == e {
				fmt.Fprintln(&s, n)
			}
		}
	}
	r.meanwhile(&s)
	for f, n := range counts {
		fmt.Fprintf(&s, "%d %s\n", n, f)
	}
	return s.String()
}

// storiesTold is of how many lost events all is told.
const storiesTold = 20

// meanwhile tells of sessions and marks, and how much each connection carried.
func (r *recorder) meanwhile(s *strings.Builder) {
	fmt.Fprintln(s, "meanwhile")
	carried := map[*line]map[string]int{}
	for _, n := range r.notes {
		if n.kind >= publish && n.kind <= pubcomp {
			if carried[n.line] == nil {
				carried[n.line] = map[string]int{}
			}
			carried[n.line][n.way()+" "+kinds[n.kind]]++
			continue
		}
		fmt.Fprintln(s, n)
		if n.mark == "" && n.kind == 0 {
			fmt.Fprintln(s, "           carried", carried[n.line])
			delete(carried, n.line)
		}
	}
	for l, packets := range carried {
		fmt.Fprintln(s, l.client, l.number, "is still there, and has carried", packets)
	}
}
