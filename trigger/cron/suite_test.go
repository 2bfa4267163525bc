package cron

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

func newTrigger(t testing.TB, attributes string) *Trigger {
	t.Helper()
	trg, err := Factory().New(trigger.Settings{Name: "tick"}, json.RawMessage(attributes))
	if err != nil {
		t.Fatal(err)
	}
	return trg.(*Trigger)
}

func TestSuite(t *testing.T) {
	for policy, parallel := range map[string]int{"Forbid": 1, "Allow": 4} {
		t.Run(policy, func(t *testing.T) {
			triggertest.Run(t, triggertest.Fixture{
				Class:    trigger.Poll,
				Parallel: parallel,
				OwnBody:  true,
				Once:     true,
				New: func(t testing.TB) (trigger.Trigger, triggertest.Source) {
					w := &wall{now: time.Now(), ticked: make(chan struct{}, 100)}
					trg := newTrigger(t, `{"interval":"1h","missed":"all","event":{"body":"tick"},"concurrencyPolicy":"`+policy+`"}`)
					trg.clock = w
					return &observed{trg, w}, w
				},
			})
		})
	}
}

// wall is a clock that its source sets: an hour later for each event.
type wall struct {
	mu      sync.Mutex
	now     time.Time
	ticked  chan struct{}
	pending []chan triggertest.Outcome
}

func (w *wall) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *wall) Wait(ctx context.Context, d time.Duration) {
	if d < glance { // a pause before another attempt, not a look at the clock
		return
	}
	select {
	case <-w.ticked:
	case <-ctx.Done():
	}
}

func (w *wall) Emit(testing.TB, string) <-chan triggertest.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(chan triggertest.Outcome, 1)
	w.pending = append(w.pending, out)
	w.now = w.now.Add(time.Hour)
	w.ticked <- struct{}{}
	return out
}

// observed is a trigger of which the source sees the end of each run.
type observed struct {
	*Trigger
	w *wall
}

func (o *observed) Run(ctx context.Context, h trigger.Handler) error {
	return o.Trigger.Run(ctx, trigger.HandlerFunc(func(ctx context.Context, ev *event.Event, resp *event.Response) error {
		defer func() {
			o.w.mu.Lock()
			defer o.w.mu.Unlock()
			if len(o.w.pending) > 0 { // none for a second attempt
				o.w.pending[0] <- triggertest.Outcome{Verdict: triggertest.Done}
				o.w.pending = o.w.pending[1:]
			}
		}()
		return h.Handle(ctx, ev, resp)
	}))
}
