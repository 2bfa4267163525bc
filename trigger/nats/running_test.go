package nats

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// running is a trigger that runs, and the events that its function saw.
type running struct {
	trigger.Trigger
	t      testing.TB
	events chan *event.Event
	stop   context.CancelFunc
	done   chan error
}

// run starts a trigger whose function does what then says; nil: nothing.
func run(t testing.TB, trg trigger.Trigger, then func(*event.Event, *event.Response) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Trigger: trg, t: t, events: make(chan *event.Event, 100_000), stop: cancel, done: make(chan error, 1)}
	h := func(_ context.Context, ev *event.Event, resp *event.Response) error {
		c := ev.Clone()
		var err error
		if then != nil {
			err = then(ev, resp)
		}
		r.events <- c
		return err
	}
	go func() { r.done <- trg.Run(ctx, trigger.HandlerFunc(h)) }()
	t.Cleanup(r.end)
	return r
}

// started is run, and waits until events can come.
func started(t testing.TB, trg trigger.Trigger, then func(*event.Event, *event.Response) error) *running {
	t.Helper()
	r := run(t, trg, then)
	select {
	case <-trg.(trigger.Readier).Ready():
	case <-time.After(patience):
		t.Fatalf("not ready: %+v", r.report())
	}
	return r
}

func (r *running) end() {
	r.stop()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("Run returned %v", err)
		}
		r.done <- nil
	case <-time.After(patience):
		r.t.Error("Run did not return")
	}
}

func (r *running) report() trigger.Report { return r.Trigger.(trigger.Reporter).Report() }

func (r *running) next() *event.Event {
	r.t.Helper()
	select {
	case ev := <-r.events:
		return ev
	case <-time.After(patience):
		r.t.Fatalf("no event; %+v", r.report())
		return nil
	}
}

func (r *running) until(what string, ok func(trigger.Report) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(r.report()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v", what, r.report())
		}
	}
}

func settings(t testing.TB, spec function.Trigger) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Spec: spec, Workers: 4, Letters: lost{t}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// lost takes letters that nobody expects.
type lost struct{ t testing.TB }

func (l lost) Send(_ context.Context, x *letter.Letter) error {
	l.t.Errorf("a letter: %+v", x)
	return nil
}
