package triggertest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// drain: when the context ends, what is in the handler is settled before Run
// returns, and nothing new is taken after.
func (f *Fixture) drain(t *testing.T) {
	inside := make(chan struct{}, 2*f.Parallel)
	release := make(chan struct{})
	var calls atomic.Int64
	s := f.start(t, func(ctx context.Context, ev *event.Event, resp *event.Response) error {
		calls.Add(1)
		inside <- struct{}{}
		<-release
		if err := ctx.Err(); err != nil {
			t.Errorf("the context of an event ended by the drain: %v", err)
		}
		echo(ev, resp)
		return nil
	})
	outs := make([]<-chan Outcome, f.Parallel)
	for i := range outs {
		outs[i] = s.Emit(t, fmt.Sprint("held ", i))
	}
	for range outs {
		await(t, "an event to reach the handler", inside)
	}
	s.stop()
	select {
	case err := <-s.done:
		t.Fatalf("Run returned (%v) while events were in the handler", err)
	case <-time.After(200 * time.Millisecond): // no condition to await: it must not come
	}
	close(release)
	for i, ch := range outs {
		if out := await(t, "the outcome of a held event", ch); out.Verdict != Done {
			t.Errorf("held event %d: %+v, want Done", i, out)
		}
	}
	s.end(t)
	before := calls.Load()
	late := s.Emit(t, "late")
	if f.Class == trigger.Sync { // other sources keep it for a successor
		if out := await(t, "the outcome of a late event", late); out.Verdict != Refused {
			t.Errorf("a late event: %+v, want Refused", out)
		}
	}
	if n := calls.Load(); n != before {
		t.Errorf("%d events were handed out after Run returned", n-before)
	}
}

// stopUnused: a trigger that has had no event stops as well.
func (f *Fixture) stopUnused(t *testing.T) {
	s := f.start(t, func(context.Context, *event.Event, *event.Response) error {
		t.Error("an event came from nowhere")
		return nil
	})
	s.end(t)
}
