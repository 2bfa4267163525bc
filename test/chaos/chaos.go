// Package chaos sends numbered events through functions whose workers,
// processors, brokers and connections are killed, cut, delayed, swallowed and
// stopped at random, and then looks at the ledger: none lost, order kept,
// duplicates counted, and none where exactly once is promised. A queue or stream
// joins with one file: a System and a test that calls Survive. The programs are
// the built ones: it needs bin/processor.
package chaos

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
)

var (
	events = flag.Int("events", 2400, "how many events are sent; the long form has 100000")
	seed   = flag.Uint64("seed", 0, "of all that is random; 0 for a new one")
	only   = flag.String("only", "", "of what goes wrong, as a regular expression: killed|drains, say; empty: all")
	rate   = flag.Int("rate", 200, "events sent in a second, at most")
)

// System is a source of events under test, and what can be broken of it.
type System interface {
	// Trigger is a processor's trigger, as a spec in one line of YAML without its name.
	Trigger(processor string) string
	// Send sends an event and calls done once the source has confirmed it, or
	// never will. Events of one key keep their order.
	Send(e ledger.Event, done func(error))
	// Broker is what may be killed, and Proxy what leads to it.
	Broker() *servers.Server
	Proxy() *fault.Proxy
	// Silence is how long a processor must be stopped to be forgotten.
	Silence() time.Duration
}

// Sinker is implemented by systems whose answers count instead of what the
// functions write: exactly once. It brings what has come to the book until ctx
// is done; Finish, once nothing runs any more, brings the rest.
type Sinker interface {
	Collect(ctx context.Context, b *ledger.Book)
	Finish(ctx context.Context, b *ledger.Book) error
}

// Own is implemented by systems with a function of their own, in functions/NAME,
// and more of its spec, as YAML.
type Own interface {
	Function() (name, more string)
}

// Leased is implemented by systems whose shards a dealer deals: Dealer is where it
// takes beats.
type Leased interface{ Dealer() string }

// Sparer is implemented by systems whose broker is left alone: everything else is
// broken.
type Sparer interface{ SparesBroker() }

// Copier is implemented by systems whose client may send an event to the source
// twice, though it is confirmed once: where a broker dies before its answer is
// heard. Copies is how many records of the source are such: each has an effect of
// its own, and it is not the trigger's that it came twice.
type Copier interface {
	Copies(ctx context.Context) (int, error)
}

// Forgetter is implemented by systems whose broker, if it is killed, has lost what
// it confirmed: it is stopped and started in order instead.
type Forgetter interface{ Forgets() }

// Gatherer is implemented by systems that lose what waits if all but the processor
// that is drained are away. Gathered reports whether none is.
type Gatherer interface{ Gathered() bool }

// Witness is implemented by systems that can tell what became of an event. Begin
// is called before the first is sent, Mark with what is done to all, and Story
// with what is lost.
type Witness interface {
	Begin(b *ledger.Book)
	Mark(what string)
	Story(lost []ledger.Name) string
}

// Promise is what a system promises.
type Promise struct {
	Unordered bool // no order of keys
	Once      bool // no duplicates
}

// world is one run.
type world struct {
	t          *testing.T
	sys        System
	rnd        *rand.Rand
	book       *ledger.Book
	dir        string // of processors
	file       string
	processors []*processor
}

// patience bounds the waits for what must come.
const patience = 3 * time.Minute

// Survive runs events through two processors while everything breaks, beside
// other systems.
func Survive(t *testing.T, sys System, p Promise) {
	t.Parallel()
	book := ledger.Open(ledger.Plan{Events: *events, Keys: 50, Seed: *seed, Padding: 200})
	t.Logf("again with: go test ./test/chaos -run '%s' -args -events %d -seed %d", t.Name(), *events, book.Seed())
	w := &world{t: t, sys: sys, rnd: rand.New(rand.NewPCG(book.Seed(), 1)), book: book, dir: t.TempDir(), file: filepath.Join(t.TempDir(), "ledger")}
	if x, ok := sys.(Witness); ok {
		x.Begin(book)
	}
	for i := range 2 {
		w.processors = append(w.processors, w.start(fmt.Sprint("p", i)))
	}
	began := time.Now()
	sent := make(chan struct{})
	var wg sync.WaitGroup
	quit := make(chan struct{})
	wg.Go(func() { w.send(quit); close(sent) })
	defer func() { // if the test fails meanwhile, before the system is taken away
		close(quit)
		select {
		case <-sent:
		case <-time.After(patience / 18):
		}
	}()
	w.breakThings(sent)
	wg.Wait()
	r := w.balance(p)
	t.Logf("%s; %v", r, time.Since(began).Round(time.Second))
	err := r.Err()
	if p.Unordered {
		err = r.Unordered()
	}
	if err != nil {
		t.Error(err)
	}
	if twice := r.Duplicates; p.Once && twice > 0 {
		if twice -= w.copies(); twice > 0 {
			t.Errorf("%s: %d events came twice, want none", ledger.Unbalanced, twice)
		}
	}
	if r.Acked == 0 {
		t.Error("no event was confirmed")
	}
}

// copies is how many of the source's records were sent to it twice.
func (w *world) copies() int {
	x, ok := w.sys.(Copier)
	if !ok {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience/3)
	defer cancel()
	n, err := x.Copies(ctx)
	w.must(err)
	w.t.Logf("%d events are in the source twice", n)
	return n
}

// mostOpen is how many events may wait for the source's confirmation: more than a
// slow broker confirms before a producer gives them up would count as failed.
const mostOpen = 1000

// send sends until as many events are confirmed as shall be: another one for each
// that was given up, one in a tick while the source confirms nothing; or until quit
// is closed.
func (w *world) send(quit <-chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var open atomic.Int64
	var failing atomic.Bool
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		n := max(1, *rate/100)
		if failing.Load() {
			n = 1
		}
		for range min(n, mostOpen-int(open.Load())) {
			e, ok := w.book.Next()
			if !ok {
				if open.Load() == 0 && w.book.Report().Acked >= *events {
					return
				}
				break
			}
			open.Add(1)
			w.sys.Send(e, func(err error) {
				if failing.Store(err != nil); err == nil {
					w.book.Acked(e)
				} else {
					w.book.Instead()
				}
				open.Add(-1)
			})
		}
	}
}

// inquire asks the witness, and looks whether what is missing comes when all
// connect anew, or when the broker starts anew: then it is stuck, and not lost.
func (w *world) inquire(read func() error) {
	x, ok := w.sys.(Witness)
	if !ok {
		return
	}
	w.t.Logf("what became of what is missing:\n%s", x.Story(w.book.Lost()))
	for _, again := range []harm{
		{"all connected anew", func(w *world) error { w.sys.Proxy().Reset(); return nil }},
		{"the broker started anew", func(w *world) error { return errors.Join(w.sys.Broker().Stop(), w.sys.Broker().Start()) }},
	} {
		w.must(again.do(w))
		ctx, cancel := context.WithTimeout(context.Background(), patience/6)
		r, _ := w.book.Await(ctx, read)
		cancel()
		w.t.Logf("after %s: %s", again.name, r)
	}
	for _, p := range w.processors {
		w.t.Logf("where %s stood:\n%s", p.name, p.stacks())
	}
}

// balance waits until all has arrived, ends the processors, and looks for what
// came late.
func (w *world) balance(p Promise) ledger.Report {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	file := w.book.Follow(w.file)
	read, finish := file.Read, func() error { return file.Read() }
	stop := func() {}
	if s, ok := w.sys.(Sinker); ok {
		collecting, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() { s.Collect(collecting, w.book) })
		stop = func() { cancel(); wg.Wait() }
		read, finish = nil, func() error {
			ctx, cancel := context.WithTimeout(context.Background(), patience/3)
			defer cancel()
			return s.Finish(ctx, w.book)
		}
	}
	r, err := w.book.Await(ctx, read)
	if err != nil && p.Unordered { // what could not be read, finish tells
		err = r.Unordered()
	}
	if err != nil {
		w.t.Errorf("wait for events: %v", err)
		w.tell()
		w.inquire(read)
	}
	stop()
	for _, p := range w.processors {
		p.end()
	}
	if err := finish(); err != nil {
		w.t.Errorf("read the end of the ledger: %v", err)
	}
	return w.book.Report()
}
