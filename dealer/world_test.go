package dealer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A world is processors, two dealers, their store and the store of checkpoints
// in one thread and one imaginary time, driven by a seed. What is random is what
// the network, the clocks and the scheduler may do; what is tested is the code.

const (
	worldTTL   Time = 1000
	worldBeat  Time = 300
	worldTick  Time = 50
	worldReign Time = 600
	quietFor   Time = 12 * worldTTL
)

type event struct {
	at Time
	n  int
	do func()
}

// events is a heap by time, and in order of making at one time.
type events []event

func (e events) before(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}

func (e *events) push(x event) {
	*e = append(*e, x)
	h := *e
	for i := len(h) - 1; i > 0 && h.before(i, (i-1)/2); i = (i - 1) / 2 {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
	}
}

func (e *events) pop() event {
	h := *e
	top := h[0]
	h[0] = h[len(h)-1]
	h = h[:len(h)-1]
	for i := 0; 2*i+1 < len(h); {
		next := 2*i + 1
		if next+1 < len(h) && h.before(next+1, next) {
			next++
		}
		if !h.before(next, i) {
			break
		}
		h[i], h[next] = h[next], h[i]
		i = next
	}
	*e = h
	return top
}

type world struct {
	r        *rand.Rand
	seed     uint64
	now      Time
	queue    events
	n        int
	strict   bool
	procs    []*proc
	nodes    [2]*node
	store    pageStore
	checks   map[string]Epoch            // the store of checkpoints: the greatest epoch it has seen
	owners   map[Lease]*proc             // who has ever used an epoch
	running  map[string]map[string]Epoch // resource: who works on it
	loss     float64
	delay    Time
	cut      map[string]Time // links, until when
	calm     Time            // when the last fault ended
	quiet    bool            // no more faults
	weights  bool
	named    int
	failed   string
	log      []string
	keepLog  bool
	all      []Resource
	edition  int // of all
	moves    int
	least    int
	overlaps int
}

func (w *world) after(d Time, do func()) {
	w.n++
	w.queue.push(event{w.now + d, w.n, do})
}

func (w *world) logf(format string, args ...any) {
	if w.keepLog {
		w.log = append(w.log, fmt.Sprintf("%6d ", w.now)+fmt.Sprintf(format, args...))
	}
}

func (w *world) fail(format string, args ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf("at %d: ", w.now) + fmt.Sprintf(format, args...)
		w.logf("FAILED %s", w.failed)
	}
}

// send carries a message over a link: late, twice or never.
func (w *world) send(a, b string, deliver func()) {
	if w.now < w.cut[link(a, b)] || w.r.Float64() < w.loss {
		return
	}
	copies := 1
	if w.loss > 0 && w.r.IntN(10) == 0 {
		copies = 2
	}
	for range copies {
		d := 1 + Time(w.r.IntN(4))
		if w.delay > 0 && w.r.IntN(4) == 0 {
			d += Time(w.r.IntN(int(w.delay)))
			w.calm = max(w.calm, w.now+d)
		}
		w.after(d, deliver)
	}
}

func link(a, b string) string { return min(a, b) + "-" + max(a, b) }

// clock is somebody's own time: it has an origin and a speed.
type clock struct {
	origin Time
	speed  float64
}

func (w *world) newClock() clock {
	return clock{Time(w.r.IntN(1 << 20)), 0.97 + 0.06*w.r.Float64()}
}

func (w *world) read(c clock) Time { return c.origin + Time(float64(w.now)*c.speed) }

// pageStore is the dealers' store.
type pageStore struct {
	rec     Record
	rev     int
	pages   map[string][]byte
	stalled Time
}

// The checkpoints: claim is what a holder does before it reads one.
func (w *world) checkpoint(p *proc, l Lease) bool {
	if l.Epoch < w.checks[l.Resource] {
		return false
	}
	w.checks[l.Resource] = l.Epoch
	if o := w.owners[l]; o != nil && o != p {
		w.fail("%s under epoch %d is written by %s/%d and %s/%d", l.Resource, l.Epoch, o.name, o.session, p.name, p.session)
	}
	w.owners[l] = p
	return true
}

func newWorld(seed uint64, keepLog bool) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 7)), seed: seed, keepLog: keepLog, checks: map[string]Epoch{}, owners: map[Lease]*proc{}, running: map[string]map[string]Epoch{}, edition: 1, cut: map[string]Time{}}
	w.strict = w.r.IntN(2) == 0
	w.weights = w.r.IntN(3) == 0
	w.store.pages = map[string][]byte{}
	for i := range 1 + w.r.IntN(12) {
		w.all = append(w.all, Resource{Name: fmt.Sprintf("r%02d", i)})
	}
	for i := range w.nodes {
		w.nodes[i] = &node{w: w, name: fmt.Sprintf("d%d", i)}
		w.nodes[i].boot()
	}
	for range 1 + w.r.IntN(5) {
		w.spawn("")
	}
	return w
}

// run lets faults happen, then none, and looks at the end.
func (w *world) run() string {
	faults := Time(2000 + w.r.IntN(8000))
	for w.r.IntN(20) != 0 {
		w.after(Time(w.r.IntN(int(faults))), w.fault)
	}
	w.until(faults)
	w.loss, w.delay, w.quiet = 0, 0, true
	clear(w.cut)
	w.store.stalled = min(w.store.stalled, w.now)
	w.calm = max(w.calm, w.now)
	w.settleDown()
	if w.failed == "" {
		w.inspect()
	}
	return w.failed
}

func (w *world) until(end Time) {
	for w.failed == "" && len(w.queue) > 0 && w.queue[0].at <= end {
		e := w.queue.pop()
		w.now = e.at
		e.do()
	}
	w.now = max(w.now, end)
}

// settleDown waits for the end of the last fault, for a dealer, and then as long
// as it may take until all is owned.
func (w *world) settleDown() {
	deadline := w.now + quietFor
	for w.failed == "" && w.now < deadline && (w.now < w.calm || w.leader() == nil) {
		w.until(w.now + worldTick)
	}
	if w.leader() == nil {
		w.fail("no dealer")
		return
	}
	from := w.now
	slack := 4*worldTick + 50 // the dealer's own ticks, and the network
	for w.failed == "" && !w.allOwned() {
		if w.now > from+(worldTTL+worldBeat)*21/20+slack {
			w.fail("not owned within ttl and a beat: %s", w.unowned())
			return
		}
		w.until(w.now + worldTick/2)
	}
	w.until(w.now + 2*worldTTL)
	if w.failed == "" && !w.allOwned() {
		w.fail("owned no more: %s", w.unowned())
	}
}

func (w *world) leader() *node {
	for _, d := range w.nodes {
		if d.table != nil && d.reign.Reigns(w.read(d.clock)) {
			return d
		}
	}
	return nil
}

func (w *world) living() (n int) {
	for _, p := range w.procs {
		if !p.dead && !p.leaving {
			n++
		}
	}
	return n
}

func (w *world) allOwned() bool { return w.living() == 0 || w.unowned() == "" }

func (w *world) unowned() string {
	var out []string
	for _, r := range w.all {
		if len(w.running[r.Name]) == 0 {
			out = append(out, r.Name)
		}
	}
	return strings.Join(out, " ")
}

// inspect looks at the world when nothing happens any more.
func (w *world) inspect() {
	capacity, held := 0, map[string]int{}
	for _, p := range w.procs {
		if !p.dead && !p.leaving {
			capacity += p.capacity
		}
	}
	for name, who := range w.running {
		if len(who) > 1 {
			w.fail("%s is worked on by %v", name, who)
		}
		for p := range who {
			held[p]++
		}
	}
	for _, p := range w.procs {
		if p.dead || p.leaving {
			continue
		}
		if d := held[p.name]*capacity - len(w.all)*p.capacity; d >= capacity || -d >= capacity {
			w.fail("%s has %d of %d with weight %d of %d", p.name, held[p.name], len(w.all), p.capacity, capacity)
		}
	}
	if 2*w.moves > 3*w.least {
		w.fail("%d moves, %d would have done", w.moves, w.least)
	}
}

// fault does one thing that should not happen, and notes when it is over.
func (w *world) fault() {
	length := Time(w.r.IntN(2 * int(worldTTL)))
	over := func(at Time) { w.calm = max(w.calm, at) }
	switch w.r.IntN(16) {
	case 0, 1:
		w.spawn("")
	case 2:
		w.anyProc(func(p *proc) { p.kill(); over(w.now) })
	case 3:
		w.anyProc(func(p *proc) { p.kill(); over(w.now); w.after(length/4, func() { w.spawn(p.name) }) })
	case 4:
		w.anyProc(func(p *proc) { p.leave() })
	case 5, 6:
		w.anyProc(func(p *proc) { p.paused = max(p.paused, w.now+length); over(p.paused) })
	case 7:
		w.loss = 0.5 * w.r.Float64()
	case 8:
		w.loss = 0
	case 9:
		w.delay = length
	case 10, 11:
		names := []string{"d0", "d1", "store", "checkpoints"}
		for _, p := range w.procs {
			names = append(names, p.name)
		}
		a, b := names[w.r.IntN(len(names))], names[w.r.IntN(len(names))]
		w.cut[link(a, b)] = w.now + length
	case 12:
		w.store.stalled = max(w.store.stalled, w.now+length)
	case 13:
		w.nodes[w.r.IntN(2)].restart(length)
		over(w.now + length)
	case 14:
		d := w.nodes[w.r.IntN(2)]
		d.paused = max(d.paused, w.now+length)
		over(d.paused)
	case 15:
		w.changeResources()
	}
	over(w.now)
}

func (w *world) changeResources() {
	w.edition++
	if w.r.IntN(2) == 0 && len(w.all) > 1 {
		i := w.r.IntN(len(w.all))
		w.all = slices.Delete(slices.Clone(w.all), i, i+1)
		return
	}
	w.named++
	w.all = append(slices.Clone(w.all), Resource{Name: fmt.Sprintf("s%02d", w.named)})
	if w.r.IntN(2) == 0 { // one that may have been there before
		name := fmt.Sprintf("r%02d", w.r.IntN(12))
		if !slices.ContainsFunc(w.all, func(r Resource) bool { return r.Name == name }) {
			w.all = append(w.all, Resource{Name: name})
		}
	}
}

func (w *world) anyProc(do func(*proc)) {
	if len(w.procs) > 0 {
		if p := w.procs[w.r.IntN(len(w.procs))]; !p.dead {
			do(p)
		}
	}
}
