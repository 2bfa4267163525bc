package worker

import (
	"errors"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// pending is one event after another of a caller that does not wait. It
// implements [trigger.Pending].
type pending struct {
	h     *handler
	done  func()
	ev    *event.Event
	w     *worker
	place runtime.Place
	call  call // of the event's deadline
	began time.Duration
}

// Pending implements [trigger.Submitter].
func (h *handler) Pending(done func()) trigger.Pending {
	if h.gather != nil || !h.pool.submits.Load() {
		return nil
	}
	return &pending{h: h, done: done}
}

// Flush implements [trigger.Submitter].
func (h *handler) Flush() {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	for _, w := range h.pool.workers {
		if w.submit != nil {
			w.submit.Flush()
		}
	}
}

// Complete implements [runtime.Completer].
func (p *pending) Complete(uint64) { p.done() }

// Submit implements [trigger.Pending].
func (p *pending) Submit(ev *event.Event) bool {
	k := p.h.pool
	w, measure := p.h.room()
	if w == nil {
		return false
	}
	place, _ := w.submit.Begin(0)
	if place == nil {
		k.settle(w, nil, nil)
		return false
	}
	p.ev, p.w, p.place, p.began, p.call = ev, w, place, 0, call{}
	if measure {
		p.began = now()
	}
	if k.deadlines(w) {
		p.call.began = p.began
		k.begin(w, &p.call)
	}
	if err := place.Commit(ev, runtime.Terms{Done: p}); err != nil {
		k.settle(w, p.timed(), err)
		return false
	}
	return true
}

// room takes a place in a worker that has one now and takes events by
// submission, unless others wait for one.
func (h *handler) room() (w *worker, measure bool) {
	k := h.pool
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopping || k.queue.waiting > 0 {
		return nil, false
	}
	if w = k.pick(); w != nil && w.submit == nil {
		k.put(w)
		w = nil
	}
	if w == nil {
		return nil, false
	}
	h.taken++
	return w, h.taken%Sample == 0 || k.opts.EventTimeout > 0
}

// timed is the call of an event with a deadline, nil if it has none.
func (p *pending) timed() *call {
	if p.h.pool.deadlines(p.w) {
		return &p.call
	}
	return nil
}

// Outcome implements [trigger.Pending].
func (p *pending) Outcome(resp *event.Response) error {
	k, w, c := p.h.pool, p.w, p.timed()
	err := outcome(p.place, resp)
	p.place = nil
	if !k.keep(w, c, resp, err) {
		k.settle(w, c, err)
	}
	switch {
	case err == nil:
	case errors.Is(err, event.ErrRecalled), errors.Is(err, event.ErrNotRun):
		return event.ErrNotRun
	case c != nil && c.late && errors.Is(err, event.ErrCrashed):
		err = event.ErrTimeout // the watchdog has told
	default:
		k.tell(w, p.ev, err)
	}
	w.sign(resp, err)
	ran := time.Duration(0)
	if p.began > 0 {
		ran = now() - p.began
	}
	p.h.meter.Handled(0, ran, err)
	return err
}
