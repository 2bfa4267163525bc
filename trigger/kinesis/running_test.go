package kinesis

import (
	"context"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

const patience = 2 * time.Minute

// running is a trigger that runs, and the events that its function saw.
type running struct {
	trigger.Reporter
	t      testing.TB
	events chan *event.Event
	stop   context.CancelFunc
	ended  chan struct{}
}

// run starts a trigger whose function does what then says; nil: nothing.
func run(t testing.TB, trg trigger.Trigger, then func(*event.Event) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Reporter: trg.(trigger.Reporter), t: t, events: make(chan *event.Event, 10_000), stop: cancel, ended: make(chan struct{})}
	h := func(_ context.Context, ev *event.Event, _ *event.Response) (err error) {
		c := ev.Clone()
		if then != nil {
			err = then(ev)
		}
		r.events <- c
		return err
	}
	go func() {
		defer close(r.ended)
		if err := trg.Run(ctx, trigger.HandlerFunc(h)); err != nil {
			t.Errorf("Run returned %v", err)
		}
	}()
	t.Cleanup(r.end)
	return r
}

func (r *running) end() {
	r.stop()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Error("Run did not return")
	}
}

func (r *running) next() *event.Event {
	r.t.Helper()
	select {
	case ev := <-r.events:
		return ev
	case <-time.After(patience):
		r.t.Fatalf("no event; %+v", r.Report())
		return nil
	}
}

func (r *running) until(what string, ok func(trigger.Report) bool) {
	r.t.Helper()
	eventually(r.t, what, func() bool { return ok(r.Report()) })
}

// shards waits until the trigger has so many.
func (r *running) shards(n int) {
	r.t.Helper()
	r.until("the shards", func(x trigger.Report) bool { return len(x.Shards) == n })
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// lost takes letters that nobody expects.
type lost struct{ t testing.TB }

func (l lost) Send(_ context.Context, x *letter.Letter) error {
	l.t.Errorf("a letter: %+v", x)
	return nil
}
