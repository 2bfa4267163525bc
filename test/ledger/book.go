// Package ledger keeps the books of a test that kills things: which events were
// sent, and which arrived where they had to. In the end none is lost, each key's
// events arrived in order at first, and what came twice is counted. A test
// sends what Next gives it, tells Acked what the source has confirmed, and lets
// the function under test write the body of each event as a line, to a file
// that Follow reads or to Book as an HTTP handler; neither minds that the
// function's process dies and comes back. The package knows no source and no
// function. It keeps two bits of each event.
package ledger

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
)

// Plan says what a Book sends. The zero values of Seed, Keys and Padding are a
// new seed, one key and none.
type Plan struct {
	Events  int
	Keys    int
	Seed    uint64
	Padding int // bodies have up to so many bytes more, by chance
}

// Event is one numbered event. Its numbers begin with 0 for each key.
type Event struct {
	Key    string
	Number int
	Body   []byte // one line, without its end
	key    int
}

// Book is safe for many goroutines. Events of a key have an order only if one
// goroutine at a time takes and sends them.
type Book struct {
	plan   Plan
	mu     sync.Mutex
	random *rand.Rand
	given  int
	keys   []page
	total  Report
}

// page is the account of one key.
type page struct {
	given       int
	acked, seen bits
	newest      int // the highest number that has arrived, or -1
}

// Open begins the books of a plan.
func Open(p Plan) *Book {
	for p.Seed == 0 {
		p.Seed = rand.Uint64()
	}
	p.Keys = max(p.Keys, 1)
	b := &Book{plan: p, random: rand.New(rand.NewPCG(p.Seed, 0)), keys: make([]page, p.Keys)}
	for i := range b.keys {
		b.keys[i].newest = -1
	}
	b.total.Seed = p.Seed
	return b
}

// Seed makes the same events again; print it before the test begins.
func (b *Book) Seed() uint64 { return b.plan.Seed }

// Next is the next event to send, false after the last.
func (b *Book) Next() (Event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.given == b.plan.Events {
		return Event{}, false
	}
	b.given++
	key := b.random.IntN(len(b.keys))
	e := Event{Key: "k" + strconv.Itoa(key), Number: b.keys[key].given, key: key}
	b.keys[key].given++
	e.Body = fmt.Appendf(nil, "%016x %d %d", b.plan.Seed, key, e.Number)
	if b.plan.Padding > 0 {
		e.Body = append(append(e.Body, ' '), strings.Repeat("x", b.random.IntN(b.plan.Padding))...)
	}
	return e, true
}

// Instead lets one more event be sent, in place of one that was not confirmed.
func (b *Book) Instead() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.plan.Events++
}

// Acked says that the source has confirmed an event: now it must arrive. One
// that is never confirmed may arrive or not.
func (b *Book) Acked(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.keys[e.key].acked.set(e.Number) {
		b.total.Acked++
	}
}

// Arrived enters one line: the body of an event.
func (b *Book) Arrived(line []byte) {
	key, number, known := b.parse(string(line))
	b.mu.Lock()
	defer b.mu.Unlock()
	if !known || number >= b.keys[key].given {
		b.total.Foreign.add("%s", line[:min(len(line), 80)])
		return
	}
	b.total.Lines++
	page := &b.keys[key]
	if !page.seen.set(number) {
		b.total.Duplicates++
		return
	}
	b.total.Arrived++
	if number < page.newest {
		b.total.Disorder.add("k%d: %d after %d", key, number, page.newest)
	}
	page.newest = max(page.newest, number)
}

// parse reads a body's seed, key and number.
func (b *Book) parse(line string) (key, number int, known bool) {
	fields := strings.Fields(line)
	if len(fields) < 3 || fields[0] != fmt.Sprintf("%016x", b.plan.Seed) {
		return 0, 0, false
	}
	key, err := strconv.Atoi(fields[1])
	if err != nil || key < 0 || key >= len(b.keys) {
		return 0, 0, false
	}
	number, err = strconv.Atoi(fields[2])
	return key, number, err == nil && number >= 0
}

// bits is a set of small numbers.
type bits []uint64

// set says whether n is new.
func (s *bits) set(n int) bool {
	for len(*s) <= n/64 {
		*s = append(*s, 0)
	}
	was := (*s)[n/64]
	(*s)[n/64] |= 1 << (n % 64)
	return (*s)[n/64] != was
}

func (s bits) has(n int) bool { return n/64 < len(s) && s[n/64]&(1<<(n%64)) != 0 }
