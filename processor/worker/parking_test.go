package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
)

// However workers park, none runs two events, every event finds one as long as
// there is one, and all are there at the end.
func TestParkedWorkersAreFound(t *testing.T) {
	var ran atomic.Int64
	f := &fake{fn: func(i *inst, _ *event.Event, _ *event.Response) error {
		if i.running.Load() > 1 {
			t.Error("two events in one worker")
		}
		ran.Add(1)
		return nil
	}}
	p := open(t, f, Options{Size: 16})
	if len(p.parking.lots) < 2 {
		t.Fatalf("%d lots", len(p.parking.lots))
	}
	var wg sync.WaitGroup
	for range 64 { // four times as many as workers: some always wait
		h, ev := p.For(10*time.Second, nil), new(event.Event)
		wg.Go(func() {
			var resp event.Response
			for range 500 {
				if err := h.Handle(context.Background(), ev, &resp); err != nil {
					t.Errorf("handle: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if ran.Load() != 64*500 {
		t.Errorf("%d of %d events ran", ran.Load(), 64*500)
	}
	if s := p.Stats(); s.Busy != 0 || s.InFlight != 0 || s.Live != 16 || s.Waiting != 0 {
		t.Errorf("at rest: %+v", s)
	}
}

// An event that may not wait gets a worker that is parked in another lot.
func TestParkedWorkerServesAnyEvent(t *testing.T) {
	f := &fake{fn: func(*inst, *event.Event, *event.Response) error { return nil }}
	p := open(t, f, Options{Size: 8})
	h := p.For(0, nil)
	events := make([]event.Event, 200) // of many addresses: they choose different lots
	var resp event.Response
	for i := range events {
		if err := h.Handle(context.Background(), &events[i], &resp); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	p.Kill()
	if err := h.Handle(context.Background(), &events[0], &resp); !errors.Is(err, event.ErrStopping) {
		t.Errorf("after the stop: %v", err)
	}
	if n := p.parked(); n != 0 {
		t.Errorf("%d workers parked after the stop", n)
	}
}
