package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// flow is a list of events on its way through one worker, in order. It is used
// again.
type flow struct {
	todo   []int           // which of the caller's events
	places []runtime.Place // of each; nil if its outcome was there at once
	calls  []call          // of each, for the deadline
	ran    []time.Duration // of each of the caller's events, 0 if not measured
}

var flows = sync.Pool{New: func() any { return new(flow) }}

// apart runs the events that are marked as unrun one by one, in order, each
// submitted before the one before it is done as far as the worker's depth goes.
func (h *handler) apart(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	f := flows.Get().(*flow)
	f.ran = append(f.ran[:0], make([]time.Duration, len(evs))...)
	var v visit
	h.each(ctx, &v, resps, errs, func(w *worker) {
		f.todo = f.todo[:0]
		for i, err := range errs {
			if event.IsNotRun(err) {
				f.todo = append(f.todo, i)
			}
		}
		f.places = append(f.places[:0], make([]runtime.Place, len(f.todo))...)
		f.calls = append(f.calls[:0], make([]call, len(f.todo))...)
		h.pool.pipeline(ctx, w, f, evs, resps, errs)
	})
	for i := range errs {
		h.meter.Handled(v.waited, f.ran[i], errs[i])
	}
	clear(f.places)
	flows.Put(f)
}

// pipeline has w run what it can of f, and gives its place back. What it cannot
// run stays unrun.
func (p *Pool) pipeline(ctx context.Context, w *worker, f *flow, evs []*event.Event, resps []*event.Response, errs []error) {
	var broke error
	sent := 0
	for i := 0; i < len(f.todo) && (broke == nil || i < sent); i++ {
		if depth := w.depth(); broke == nil && sent-i <= depth/2 {
			sent = p.submit(w, f, i, sent, depth, evs, errs)
		}
		k := f.todo[i]
		switch {
		case i == sent: // no place: wait for one
			sent++
			errs[k] = p.alone(ctx, w, &f.calls[i], evs[k], resps[k])
		case f.places[i] != nil:
			errs[k] = outcome(f.places[i], resps[k])
		}
		w.sign(resps[k], errs[k])
		if began := f.calls[i].began; began > 0 {
			f.ran[k] = now() - began
		}
		if p.deadlines(w) && p.leave(w, &f.calls[i]) && errs[k] != nil && errors.Is(errs[k], event.ErrCrashed) {
			errs[k] = event.ErrTimeout
			broke = event.ErrCrashed
		} else if err := worst(errs[k : k+1]); err != nil {
			broke = err
			p.tell(w, evs[k], err)
		}
	}
	p.settle(w, nil, broke)
}

// submit submits events from the sent-th on until depth of them are on their
// way, of which the i-th is the first, and returns how many it has come to.
func (p *Pool) submit(w *worker, f *flow, i, sent, depth int, evs []*event.Event, errs []error) int {
	for ; sent < len(f.todo) && sent-i < depth; sent++ {
		place, _ := w.submit.Begin(0)
		if place == nil {
			break
		}
		k, c := f.todo[sent], &f.calls[sent]
		if p.deadlines(w) {
			c.began = now()
			p.begin(w, c)
		} else if k%Sample == 0 {
			c.began = now()
		}
		if err := place.Commit(evs[k], runtime.Terms{Stay: true}); err != nil {
			errs[k] = err
			place = nil
		}
		f.places[sent] = place
	}
	w.submit.Flush()
	return sent
}

// alone runs an event for which there was no place.
func (p *Pool) alone(ctx context.Context, w *worker, c *call, ev *event.Event, resp *event.Response) error {
	if p.deadlines(w) {
		c.began = now()
		p.begin(w, c)
	}
	return invoke(ctx, w.inst, ev, resp)
}

// outcome is Place.Outcome, guarded as invoke is.
func outcome(place runtime.Place, resp *event.Response) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = event.Permanent(fmt.Errorf("runtime panicked: %v\n%s", r, debug.Stack()))
		}
	}()
	return place.Outcome(resp)
}

// deadlines reports whether events in w have one.
func (p *Pool) deadlines(w *worker) bool { return p.opts.EventTimeout > 0 && w.killer != nil }

// leave ends the deadline of c and reports whether it had passed.
func (p *Pool) leave(w *worker, c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.forget(c)
	return c.late
}

func (w *worker) depth() int {
	if w.deep == nil {
		return 1
	}
	return max(w.deep.Depth(), 1)
}
