package triggertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// QueueSuite is what every trigger of the class queue passes.
func QueueSuite(t *testing.T, g Guarantees) {
	g.run(t, map[string]func(*bench){})
}

// StreamSuite is what every trigger of the class stream passes.
func StreamSuite(t *testing.T, g Guarantees) {
	g.run(t, map[string]func(*bench){
		"OrderPerShard": orderPerShard, "OrderPerKeyInLanes": orderInLanes, "NotPassedOver": notPassedOver, "Rebalance": rebalance, "RebalanceLanes": rebalanceLanes,
		"Seek": seekAgain, "StopAtFailure": stopAtFailure,
	})
}

func (g *Guarantees) run(t *testing.T, more map[string]func(*bench)) {
	if g.Patience == 0 {
		g.Patience = 2 * time.Minute
	}
	known := []goleak.Option{goleak.IgnoreCurrent()}
	for _, name := range g.Forever {
		known = append(known, goleak.IgnoreAnyFunction(name))
	}
	checks := map[string]func(*bench){
		"Every": every, "FailedComeAgain": failedComeAgain, "AttemptsEnd": attemptsEnd, "Permanent": permanent, "CrashAndBusy": crashAndBusy,
		"Poison": poison, "PartOfBatch": partOfBatch, "Lent": lentMemory, "AbandonedMemory": abandonedMemory, "StopLosesNothing": stopLosesNothing,
		"Explicit": explicit, "Filter": filter, "Cut": cut, "Away": away, "Broken": broken, "LettersStall": lettersStall, "Pause": pause, "Moves": moves,
	}
	for name, check := range more {
		checks[name] = check
	}
	if g.Brief {
		maps.DeleteFunc(checks, func(name string, _ func(*bench)) bool { return !slices.Contains(ofSources, name) })
	}
	if g.Parallel {
		t.Run("checks", func(t *testing.T) { g.each(t, checks) })
	} else {
		g.each(t, checks)
	}
	goleak.VerifyNone(t, known...)
}

// ofSources are the checks that say more of a source than of an engine.
var ofSources = []string{"Every", "StopLosesNothing", "Cut", "Away", "Broken", "Moves", "Handover", "Restarts", "Seek"}

func (g *Guarantees) each(t *testing.T, checks map[string]func(*bench)) {
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			if g.Parallel {
				t.Parallel()
			}
			check(g.bench(t))
		})
	}
}

// seeing is a handler that notes events and does what then says.
func (b *bench) seeing(who int, then func(ev *event.Event) error) trigger.HandlerFunc {
	return func(_ context.Context, ev *event.Event, _ *event.Response) error {
		b.saw(who, ev)
		if then == nil {
			return nil
		}
		return then(ev)
	}
}

// every: each event is handed out once, with an id of its own, its key, its
// headers, its source and a time.
func every(b *bench) {
	const n = 300
	var mu sync.Mutex
	ids := map[string]bool{}
	c := b.start(function.Trigger{}, b.seeing(0, func(ev *event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if ids[string(ev.ID)] || len(ev.ID) == 0 {
			b.t.Errorf("the id %q is empty or comes twice", ev.ID)
		}
		ids[string(ev.ID)] = true
		if !b.g.NoHeaders && string(ev.Header("number")) != string(ev.Body) {
			b.t.Errorf("event %s has the header %q", ev.Body, ev.Header("number"))
		}
		if k, _ := strconv.Atoi(string(ev.Body)); !b.g.NoKeys && string(ev.Key) != fmt.Sprint("k", k%8) {
			b.t.Errorf("event %s has the key %q", ev.Body, ev.Key)
		}
		if ev.Source == nil || ev.Source.Kind == "" || ev.Source.Name != "suite" || ev.Time.IsZero() {
			b.t.Errorf("event %s has the source %+v and the time %v", ev.Body, ev.Source, ev.Time)
		}
		return nil
	}))
	b.produce(0, n)
	b.all(0, n)
	b.until("all to be done", func() bool { return c.report().Done == n })
	c.end()
	b.once()
}

// failedComeAgain: an event that failed comes again, whole, after the pauses.
func failedComeAgain(b *bench) {
	var fails sync.Map
	c := b.start(function.Trigger{}, b.seeing(0, func(ev *event.Event) error {
		n, _ := fails.LoadOrStore(string(ev.Body), new(atomic.Int32))
		if n.(*atomic.Int32).Add(1) <= 2 {
			scribble(ev)
			return errors.New("not yet")
		}
		return nil
	}))
	b.produce(0, 8)
	b.until("3 runs of each", func() bool {
		c := b.counts()
		for n := range 8 {
			if c[fmt.Sprint(n)] < 3 {
				return false
			}
		}
		return true
	})
	c.end()
	last := map[string]time.Time{}
	times := map[string]int{}
	for _, s := range b.sightings() {
		least := []time.Duration{0, 40 * time.Millisecond, 80 * time.Millisecond}[min(times[s.body], 2)]
		if gap := s.at.Sub(last[s.body]); times[s.body] > 0 && gap < least {
			b.t.Errorf("event %s: run %d came %v after the one before, want at least %v", s.body, times[s.body]+1, gap, least)
		}
		last[s.body] = s.at
		times[s.body]++
		if times[s.body] > 3 {
			b.t.Errorf("event %s ran %d times", s.body, times[s.body])
		}
	}
	if got := b.letters.all(); len(got) != 0 {
		b.t.Errorf("letters: %+v", got)
	}
}

// attemptsEnd: an event that fails each time becomes a letter, while the others
// run.
func attemptsEnd(b *bench) {
	c := b.start(function.Trigger{}, b.seeing(0, func(ev *event.Event) error {
		if string(ev.Body) == "3" {
			return &event.Error{Status: 500, Message: "always"}
		}
		return nil
	}))
	b.produce(0, 20)
	b.all(0, 20)
	b.until("a letter", func() bool { return len(b.letters.all()) > 0 })
	b.until("the count of the letter", func() bool { return c.report().Dead == 1 })
	c.end()
	b.letter("3", letter.Attempts, 4)
	if n := b.counts()["3"]; n != 4 {
		b.t.Errorf("the event ran %d times, want 4", n)
	}
}

// letter asks for one letter, and what it says.
func (b *bench) letter(body, reason string, attempts int) {
	b.t.Helper()
	got := b.letters.all()
	if len(got) != 1 {
		b.t.Fatalf("%d letters, want 1: %+v", len(got), got)
	}
	l := got[0]
	if string(l.Event.Body) != body || l.Reason != reason || l.Attempts != attempts || l.Error == "" || l.Trigger != "suite" || l.Function != "f" {
		b.t.Errorf("letter %+v, want event %s, reason %s after %d attempts", l, body, reason, attempts)
	}
	if i := indexOf(l.Event.Headers, "number"); !b.g.NoHeaders && (i < 0 || string(l.Event.Headers[i].Value) != body) {
		b.t.Errorf("the letter has the headers %v", l.Event.Headers)
	}
}

func indexOf(hs []letter.Header, key string) int {
	for i, h := range hs {
		if strings.EqualFold(h.Key, key) {
			return i
		}
	}
	return -1
}

func permanent(b *bench) {
	c := b.start(function.Trigger{}, b.seeing(0, func(ev *event.Event) error {
		if string(ev.Body) == "2" {
			return event.Permanent(errors.New("never"))
		}
		return nil
	}))
	b.produce(0, 5)
	b.all(0, 5)
	b.until("a letter", func() bool { return len(b.letters.all()) > 0 })
	c.end()
	b.letter("2", letter.Permanent, 1)
}

// crashAndBusy: a dead worker is a failure that is tried again; that none was
// free is no attempt.
func crashAndBusy(b *bench) {
	var crashes, busy atomic.Int32
	c := b.start(function.Trigger{}, b.seeing(0, func(ev *event.Event) error {
		switch {
		case string(ev.Body) == "0" && crashes.Add(1) <= 2:
			return fmt.Errorf("worker: %w", event.ErrCrashed)
		case string(ev.Body) == "1" && busy.Add(1) <= 7:
			return event.ErrBusy
		case string(ev.Body) == "1" && busy.Load() <= 10:
			return event.ErrTimeout
		}
		return nil
	}))
	b.produce(0, 2)
	b.until("both to be done", func() bool { return c.report().Done == 2 })
	c.end()
	if n := b.counts(); n["0"] != 3 || n["1"] != 11 || len(b.letters.all()) != 0 {
		b.t.Errorf("runs %v, letters %+v", n, b.letters.all())
	}
}

// lentMemory: a handler may write on what it is lent, and it is no one else's.
func lentMemory(b *bench) {
	clones := make(chan *event.Event, 200)
	c := b.start(function.Trigger{}, b.seeing(0, func(ev *event.Event) error {
		clones <- ev.Clone()
		scribble(ev)
		return nil
	}))
	b.produce(0, 100)
	b.until("all to be done", func() bool { return c.report().Done == 100 })
	c.end()
	close(clones)
	for ev := range clones {
		if !b.g.NoHeaders && string(ev.Header("number")) != string(ev.Body) {
			b.t.Errorf("a clone has the body %q and the header %q", ev.Body, ev.Header("number"))
		}
	}
	b.all(0, 100)
	b.once()
}

// abandonedMemory: memory of a function that still runs is not used again.
func abandonedMemory(b *bench) {
	var first atomic.Pointer[event.Event]
	more, wrote := make(chan struct{}), make(chan struct{})
	var clone *event.Event
	c := b.start(function.Trigger{}, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, resp *event.Response) error {
		b.saw(0, ev)
		if string(ev.Body) != "0" || !first.CompareAndSwap(nil, ev) {
			return nil
		}
		clone = ev.Clone()
		go func() { // the function, which does not hear that its time is over
			defer close(wrote)
			for {
				resp.Body = append(resp.Body[:0], "late"...)
				select {
				case <-more:
					return
				default:
					runtime.Gosched() // there may be one processor
				}
			}
		}()
		return event.Abandon(event.ErrTimeout)
	}))
	b.produce(0, 200)
	b.until("all to be done", func() bool { return c.report().Done == 200 })
	close(more)
	<-wrote
	if got := first.Load().Clone(); string(got.Body) != string(clone.Body) || string(got.ID) != string(clone.ID) || string(got.Header("number")) != string(clone.Header("number")) {
		b.t.Errorf("the memory of an abandoned event changed: %q, header %q", got.Body, got.Header("number"))
	}
	c.end()
}

// stopLosesNothing: a stop in the middle settles what runs; a successor has the
// rest, and nothing runs twice.
func stopLosesNothing(b *bench) {
	const n = 200
	release := make(chan struct{})
	inside := make(chan struct{}, n)
	h := b.seeing(0, nil)
	c := b.start(function.Trigger{}, trigger.HandlerFunc(func(ctx context.Context, ev *event.Event, resp *event.Response) error {
		inside <- struct{}{}
		<-release
		if ctx.Err() != nil {
			b.t.Error("the context of an event ended by the stop")
		}
		return h(ctx, ev, resp)
	}))
	b.produce(0, n)
	await(b.t, "an event to reach the handler", inside)
	c.stop()
	select {
	case err := <-c.done:
		b.t.Fatalf("Run returned (%v) while events were in the handler", err)
	case <-time.After(100 * time.Millisecond): // no condition to await: it must not come
	}
	close(release)
	c.end()
	if !b.g.Forgets {
		b.start(function.Trigger{}, b.seeing(1, nil))
	}
	b.all(0, n)
	b.once()
}

// filter: events that do not fulfil the condition are done without being run.
func filter(b *bench) {
	condition := `headers.odd == "true" && body < 50`
	if b.g.NoHeaders {
		condition = `int(body) % 2 == 1 && body < 50`
	}
	c := b.start(function.Trigger{Delivery: function.Delivery{Filter: condition}}, b.seeing(0, nil))
	b.produce(0, 100)
	b.until("25 to be done and 75 skipped", func() bool { r := c.report(); return r.Done == 25 && r.Skipped == 75 })
	c.end()
	for body := range b.counts() {
		if k, _ := strconv.Atoi(body); k%2 == 0 || k >= 50 {
			b.t.Errorf("event %s passed", body)
		}
	}
}

// lettersStall: an event whose letter nobody takes is not done.
func lettersStall(b *bench) {
	b.letters.refuse = 3
	c := b.start(function.Trigger{}, b.seeing(0, func(ev *event.Event) error {
		return event.Permanent(errors.New("never"))
	}))
	b.produce(0, 1)
	b.until("a letter", func() bool { return len(b.letters.all()) == 1 })
	c.end()
	if b.letters.refused != 3 {
		b.t.Errorf("refused %d letters", b.letters.refused)
	}
}

// pause: a paused trigger takes nothing more, and goes on.
func pause(b *bench) {
	c := b.start(function.Trigger{Delivery: function.Delivery{Paused: true}}, b.seeing(0, nil))
	p, ok := c.Trigger.(trigger.Pauser)
	if !ok {
		b.t.Fatal("the trigger is no Pauser")
	}
	b.until("the pause", func() bool { return c.report().State == trigger.Paused })
	if !b.g.Forgets {
		b.produce(0, 20)
	}
	select {
	case <-b.more:
		b.t.Error("a paused trigger handed out an event")
	case <-time.After(150 * time.Millisecond): // no condition to await: it must not come
	}
	p.Resume()
	p.Resume()
	b.until("the resumption", func() bool { return c.report().State == trigger.Running })
	if b.g.Forgets {
		b.produce(0, 20)
	}
	b.all(0, 20)
	p.Pause()
	b.until("the pause", func() bool { return c.report().State == trigger.Paused })
	c.end()
	b.once()
}

// batchOf is the spec of batches.
func batchOf(n int) function.Trigger {
	return function.Trigger{Batch: &function.Batch{Mode: "enable", BatchSize: n, Timeout: quantity.Duration(20 * time.Millisecond)}}
}

// poison: one event that fails its whole batch ends in a letter; the others are
// done.
func poison(b *bench) {
	crash := fmt.Errorf("worker: %w", event.ErrCrashed)
	largest := atomic.Int32{}
	c := b.start(batchOf(16), both{b.seeing(0, nil), func(evs []*event.Event, errs []error) {
		largest.Store(max(largest.Load(), int32(len(evs))))
		for _, ev := range evs {
			if string(ev.Body) == "21" {
				for i := range errs {
					errs[i] = crash
				}
				return
			}
		}
		for _, ev := range evs {
			b.saw(0, ev)
			scribble(ev)
		}
	}})
	b.produce(0, 64)
	b.until("63 to be done and a letter", func() bool { r := c.report(); return r.Done == 63 && r.Dead == 1 })
	c.end()
	b.letter("21", letter.Attempts, 4)
	b.once()
	if largest.Load() < 2 || largest.Load() > 16 {
		b.t.Errorf("the largest batch had %d events", largest.Load())
	}
}

// partOfBatch: of a batch only those that failed come again.
func partOfBatch(b *bench) {
	c := b.start(batchOf(8), both{b.seeing(0, nil), func(evs []*event.Event, errs []error) {
		for i, ev := range evs {
			if b.saw(0, ev); string(ev.Body) == "5" && b.counts()["5"] < 3 {
				errs[i] = errors.New("not yet")
			}
		}
	}})
	b.produce(0, 24)
	b.until("all to be done", func() bool { return c.report().Done == 24 })
	c.end()
	for body, n := range b.counts() {
		if want := map[bool]int{true: 3, false: 1}[body == "5"]; n != want {
			b.t.Errorf("event %s ran %d times, want %d", body, n, want)
		}
	}
}
