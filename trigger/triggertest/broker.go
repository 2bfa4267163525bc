package triggertest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// Broker is a queue or a stream at a source, fresh for each check, as the
// author of a trigger shows it to [QueueSuite] and [StreamSuite]. What it needs
// is ended by t.Cleanup.
type Broker interface {
	// Trigger makes a trigger, not yet run, that reads the queue or stream: all
	// of them in one group, so that they share its records. s has everything
	// but the kind, the attributes and fields such as url, which it fills in.
	// A place that has no checkpoint begins at the earliest record.
	Trigger(t testing.TB, s trigger.Settings) trigger.Trigger
	// Produce puts records in and returns once the source has them.
	Produce(t testing.TB, rs ...Record)
}

// Record is what a producer puts in.
type Record struct {
	Key     string // "" for none; of a source that has no keys it may be left out
	Body    string
	Headers map[string]string
}

// Cutter is implemented by brokers whose connections the test can cut, by a
// proxy or by killing it. They can be made anew at once.
type Cutter interface{ Cut(t testing.TB) }

// Switch is implemented by brokers that can be away. While they are, nothing
// connects; what they had they have again.
type Switch interface {
	Away(t testing.TB)
	Back(t testing.TB)
}

// Breaker makes triggers that cannot do with the source as it is: a wrong
// password, an absent topic or queue. mend makes it right; nil if it cannot be.
type Breaker interface {
	Broken(t testing.TB, s trigger.Settings) map[string]Broken
}

// Broken is a trigger that has to wait for its source.
type Broken struct {
	Trigger trigger.Trigger
	Mend    func() // nil if it cannot be mended
	// Says is a part of what the report must name as the problem.
	Says string
}

// Guarantees is a kind of queue or stream under test.
type Guarantees struct {
	// New makes a fresh queue or stream; of a stream, with at least 4 shards.
	New func(t testing.TB) Broker
	// NoKeys says that records have no keys.
	NoKeys bool
	// NoHeaders says that records have no headers.
	NoHeaders bool
	// Forgets says that the source keeps nothing for a reader that is not there
	// and takes nothing back: what is in flight when a connection is cut is lost.
	Forgets bool
	// BrokerRetries says that failed events wait at the broker; their pauses
	// may be coarser.
	BrokerRetries bool
	// Sole says that the source has one reader of a name: a second takes the place
	// of the first, and so a move ends the first before.
	Sole bool
	// Once says that the source forgets what is done: nobody seeks back to it.
	Once bool
	// Parallel says that New may be called for several checks at once, which then
	// run beside each other.
	Parallel bool
	// Brief leaves out what the engines do by themselves, for a second source of
	// a trigger whose first one passes all.
	Brief bool
	// Patience bounds each wait; 0: 2 minutes, since one takes long only if it is in vain.
	Patience time.Duration
	// Forever names functions of goroutines that a library starts once for the
	// whole process; any other goroutine left behind is a leak.
	Forever []string
}

// bench is one check's broker and what its handlers saw.
type bench struct {
	Broker
	t       *testing.T
	g       *Guarantees
	letters *box

	mu   sync.Mutex
	seen []sighting
	more chan struct{} // closed and made anew when seen grows
}

// sighting is one run of an event.
type sighting struct {
	body, key string
	shard     int32
	at        time.Time
	who       int
}

func (g *Guarantees) bench(t *testing.T) *bench {
	return &bench{Broker: g.New(t), t: t, g: g, letters: &box{changed: make(chan struct{})}, more: make(chan struct{})}
}

// saw notes a run of an event.
func (b *bench) saw(who int, ev *event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, sighting{string(ev.Body), string(ev.Key), ev.Token.Shard, time.Now(), who})
	close(b.more)
	b.more = make(chan struct{})
}

// counts says how often each body was seen.
func (b *bench) counts() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := map[string]int{}
	for _, s := range b.seen {
		m[s.body]++
	}
	return m
}

func (b *bench) sightings() []sighting {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]sighting(nil), b.seen...)
}

// until waits for a condition.
func (b *bench) until(what string, ok func() bool) {
	b.t.Helper()
	deadline := time.After(b.g.Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			b.t.Fatalf("waited %v for %s", b.g.Patience, what)
		case <-tick.C:
		}
	}
}

// produce puts in the records from to to-1, with keys k0 to k7.
func (b *bench) produce(from, to int) {
	b.t.Helper()
	var rs []Record
	for n := from; n < to; n++ {
		rs = append(rs, Record{Key: fmt.Sprint("k", n%8), Body: fmt.Sprint(n), Headers: map[string]string{"number": fmt.Sprint(n), "odd": fmt.Sprint(n%2 == 1)}})
	}
	b.Produce(b.t, rs...)
}

// all waits until each of the records from to to-1 was seen.
func (b *bench) all(from, to int) {
	b.t.Helper()
	b.until(fmt.Sprintf("the events %d to %d", from, to-1), func() bool {
		c := b.counts()
		for n := from; n < to; n++ {
			if c[fmt.Sprint(n)] == 0 {
				return false
			}
		}
		return true
	})
}

// once fails if any record was seen more than once.
func (b *bench) once() {
	b.t.Helper()
	for body, n := range b.counts() {
		if n != 1 {
			b.t.Errorf("event %s ran %d times, want once", body, n)
		}
	}
}

// consumer is a trigger that runs.
type consumer struct {
	trigger.Trigger
	b    *bench
	stop context.CancelFunc
	done chan error
	over bool
}

// settings are those of a check, with spec.
func (b *bench) settings(spec function.Trigger) trigger.Settings {
	if spec.Retry == nil {
		spec.Retry = &function.Retry{Attempts: 4, Backoff: &function.Backoff{Initial: quantity.Duration(50 * time.Millisecond)}}
	}
	spec.StartAt = "earliest"
	return trigger.Settings{Name: "suite", Function: "f", Spec: spec, Workers: 4, Letters: b.letters, Log: slog.New(slog.NewTextHandler(b.t.Output(), nil))}
}

// start runs a trigger with spec and waits until it is ready.
func (b *bench) start(spec function.Trigger, h trigger.Handler) *consumer {
	b.t.Helper()
	c := b.run(b.Trigger(b.t, b.settings(spec)), h)
	c.ready()
	return c
}

func (b *bench) run(trg trigger.Trigger, h trigger.Handler) *consumer {
	ctx, cancel := context.WithCancel(context.Background())
	c := &consumer{Trigger: trg, b: b, stop: cancel, done: make(chan error, 1)}
	go func() { c.done <- trg.Run(ctx, h) }()
	b.t.Cleanup(c.end)
	return c
}

func (c *consumer) ready() {
	c.b.t.Helper()
	r, ok := c.Trigger.(trigger.Readier)
	if !ok {
		return
	}
	select {
	case <-r.Ready():
	case err := <-c.done:
		c.b.t.Fatalf("Run returned before it was ready: %v", err)
	case <-time.After(c.b.g.Patience):
		c.b.t.Fatalf("the trigger did not become ready: %+v", c.report())
	}
}

// end stops the trigger and waits; it may be called again.
func (c *consumer) end() {
	c.b.t.Helper()
	if c.over {
		return
	}
	c.over = true
	c.stop()
	select {
	case err := <-c.done:
		if err != nil {
			c.b.t.Errorf("Run returned %v after its context ended, want nil", err)
		}
	case <-time.After(c.b.g.Patience):
		c.b.t.Error("Run did not return after its context ended")
	}
}

func (c *consumer) report() trigger.Report {
	if r, ok := c.Trigger.(trigger.Reporter); ok {
		return r.Report()
	}
	return trigger.Report{Lag: -1}
}

// box keeps letters, or refuses them for a while.
type box struct {
	mu      sync.Mutex
	letters []letter.Letter
	refuse  int
	refused int
	changed chan struct{}
}

func (b *box) Send(_ context.Context, l *letter.Letter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse > 0 {
		b.refuse--
		b.refused++
		return fmt.Errorf("refused by the test")
	}
	raw, err := letter.Encode(l)
	if err != nil {
		return err
	}
	c, err := letter.Decode(raw)
	if err != nil {
		return err
	}
	b.letters = append(b.letters, *c)
	return nil
}

func (b *box) all() []letter.Letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]letter.Letter(nil), b.letters...)
}

// both is a handler of single events that also runs batches.
type both struct {
	trigger.HandlerFunc
	batch func(evs []*event.Event, errs []error)
}

// HandleBatch implements trigger.BatchHandler.
func (b both) HandleBatch(_ context.Context, evs []*event.Event, _ []*event.Response, errs []error) {
	b.batch(evs, errs)
}
