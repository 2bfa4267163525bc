package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Runner runs events for one goroutine.
type Runner struct {
	h      trigger.Handler
	batch  trigger.BatchHandler // nil: one by one
	sealed bool                 // nothing that h runs writes on an event
	sink   trigger.Sink         // nil: the return alone says that an event is done
	order  bool                 // events behind one that is not done must wait
	marks  bool                 // what the function calls is told which event runs
	log    *slog.Logger
	evs    []*event.Event
	resps  []*event.Response
	errs   []error
}

// NewRunner returns a Runner of h. It runs batches if the policy wants them
// and h can; otherwise each event alone, in order.
func (p *Policy) NewRunner(h trigger.Handler) *Runner {
	r := &Runner{h: h, sink: p.sink, order: p.class == trigger.Stream, marks: p.marks, log: p.log}
	if s, ok := h.(trigger.Sealer); ok {
		r.sealed = s.Sealed()
	}
	if p.BatchSize > 1 {
		r.batch, _ = h.(trigger.BatchHandler)
	}
	if r.batch != nil {
		r.evs = make([]*event.Event, p.BatchSize)
		r.resps = make([]*event.Response, p.BatchSize)
		r.errs = make([]error, p.BatchSize)
	}
	return r
}

// Alone reports whether events run one by one.
func (r *Runner) Alone() bool { return r.batch == nil }

// Run runs each item once and sets its Err. ctx is that of the events.
func (r *Runner) Run(ctx context.Context, items []*Item) {
	if r.sink != nil {
		r.sunk(ctx, items)
		return
	}
	if r.batch != nil {
		for len(items) > 0 {
			n := min(len(items), len(r.evs))
			r.together(ctx, items[:n])
			items = items[n:]
		}
		return
	}
	r.alone(ctx, items)
}

// alone runs items one by one.
func (r *Runner) alone(ctx context.Context, items []*Item) {
	for _, it := range items {
		it.prepare(r.sealed)
		if r.marks {
			it.settle(r.handle(trigger.WithAttempt(ctx, it.Place), it.work))
			continue
		}
		it.settle(r.handle(ctx, it.work))
	}
}

// handle makes of a panic the event's failure.
func (r *Runner) handle(ctx context.Context, w *work) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v", p)
		}
	}()
	return r.h.Handle(ctx, &w.ev, &w.resp)
}

// together runs a batch. One that fails as a whole is halved, and so on, until
// the event that makes it fail is alone: only then its attempt counts.
func (r *Runner) together(ctx context.Context, items []*Item) {
	n := len(items)
	if halve := r.call(ctx, items); halve {
		r.together(ctx, items[:n/2])
		r.together(ctx, items[n/2:])
	}
}

// call runs a batch once, and reports whether it failed as a whole.
func (r *Runner) call(ctx context.Context, items []*Item) (halve bool) {
	n := len(items)
	evs, resps, errs := r.evs[:n], r.resps[:n], r.errs[:n]
	for i, it := range items {
		it.prepare(r.sealed)
		evs[i], resps[i], errs[i] = &it.work.ev, &it.work.resp, nil
	}
	r.handleBatch(ctx, evs, resps, errs)
	halve = n > 1 && whole(errs)
	held := false
	for _, err := range errs {
		held = held || err != nil && event.Abandoned(err)
	}
	for i, it := range items {
		it.settle(errs[i])
		if held {
			it.work, it.Held = nil, true
		}
	}
	clear(evs)
	clear(resps)
	clear(errs)
	return halve
}

func (r *Runner) handleBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("handler panicked: %v", p)
			for i := range errs {
				errs[i] = err
			}
		}
	}()
	r.batch.HandleBatch(ctx, evs, resps, errs)
}

// whole reports whether a batch failed as one.
func whole(errs []error) bool {
	first := errs[0]
	if first == nil || notRun(first) || errors.Is(first, event.ErrLater) {
		return false
	}
	for _, err := range errs[1:] {
		if !same(first, err) {
			return false
		}
	}
	return true
}

func notRun(err error) bool {
	return errors.Is(err, event.ErrBusy) || errors.Is(err, event.ErrNotRun) || errors.Is(err, event.ErrStopping)
}

// same compares errors of any type: those that cannot be compared differ.
func same(a, b error) (eq bool) {
	defer func() {
		if recover() != nil {
			eq = false
		}
	}()
	return a == b //nolint:errorlint // one and the same error is what is asked
}
