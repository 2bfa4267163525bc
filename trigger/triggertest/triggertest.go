// Package triggertest is the suite that every trigger passes. It runs a real
// trigger against a source that the trigger's own test provides, with handlers
// that do all that the contract of trigger.Handler lets a handler do. It knows
// no source and no worker.
package triggertest

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// patience bounds each wait of the suite; a wait that succeeds is short.
const patience = 15 * time.Second

// Fixture is a kind of trigger under test.
type Fixture struct {
	Class trigger.Class
	// New makes a trigger, not yet run, and the source that feeds it. What the
	// source needs is ended by t.Cleanup.
	New func(t testing.TB) (trigger.Trigger, Source)
	// Parallel is how many events can be in the handler at once; 0 means 4.
	Parallel int
	// OwnBody says that events carry a body of the trigger's configuration
	// rather than the one given to Emit.
	OwnBody bool
	// Once says that a failed event is not brought again.
	Once bool
	// Forever names functions of goroutines that a library starts once for the
	// whole process; any other goroutine left behind is a leak.
	Forever []string
}

// Source feeds a trigger and sees what becomes of its events.
type Source interface {
	// Emit brings one event with that body. It does not wait for the handler;
	// the channel gets the outcome, once, and is buffered.
	Emit(t testing.TB, body string) <-chan Outcome
}

// Outcome is what the source saw become of an event.
type Outcome struct {
	Verdict Verdict
	Status  int    // of a response, for the class sync
	Body    string // of a response
}

// Verdict is the fate of an event.
type Verdict int

// The fates. Again means that the event was left to be brought again; Refused
// that the trigger did not take it.
const (
	Done Verdict = iota
	Again
	Rejected
	Refused
)

// Run runs the suite.
func Run(t *testing.T, f Fixture) {
	if f.Parallel == 0 {
		f.Parallel = 4
	}
	known := []goleak.Option{goleak.IgnoreCurrent()}
	for _, name := range f.Forever {
		known = append(known, goleak.IgnoreAnyFunction(name))
	}
	t.Run("Lent", f.lent)
	t.Run("Outcomes", f.outcomes)
	t.Run("Panic", f.panics)
	t.Run("Abandoned", f.abandoned)
	t.Run("Drain", f.drain)
	t.Run("StopUnused", f.stopUnused)
	goleak.VerifyNone(t, known...)
}

// started is a trigger that runs.
type started struct {
	Source
	stop context.CancelFunc
	done chan error
}

func (f *Fixture) start(t *testing.T, h trigger.HandlerFunc) *started {
	t.Helper()
	trg, src := f.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel) // for a check that fails before its end
	s := &started{Source: src, stop: cancel, done: make(chan error, 1)}
	go func() { s.done <- trg.Run(ctx, h) }()
	if r, ok := trg.(trigger.Readier); ok {
		select {
		case <-r.Ready():
		case err := <-s.done:
			t.Fatalf("Run returned before it was ready: %v", err)
		case <-time.After(patience):
			t.Fatal("trigger did not become ready")
		}
	}
	return s
}

// end stops the trigger and wants Run to return nil.
func (s *started) end(t *testing.T) {
	t.Helper()
	s.stop()
	select {
	case err := <-s.done:
		if err != nil {
			t.Errorf("Run returned %v after its context ended, want nil", err)
		}
	case <-time.After(patience):
		t.Fatal("Run did not return after its context ended")
	}
}

func await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

func echo(ev *event.Event, resp *event.Response) {
	resp.Body = append(resp.Body, ev.Body...)
}
