package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// Batching says how a handler makes calls with lists of events.
type Batching struct {
	Size int           // events in one call, at most; 0: each event is a call of its own
	Wait time.Duration // an event that comes by itself waits this long for others
}

// ForBatches is For with a handler that gives the function lists of events: those
// of one HandleBatch, and those of Handles that come at the same time.
func (p *Pool) ForBatches(wait time.Duration, m Meter, b Batching) trigger.Handler {
	h := p.For(wait, m).(*handler)
	if b.Size > 0 {
		h.size = b.Size
		h.gather = &gatherer{size: b.Size, wait: b.Wait, run: h.together}
	}
	return h
}

// Batches reports whether the pool's function takes lists of events.
func (p *Pool) Batches() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.workers) > 0 && !slices.ContainsFunc(p.workers, func(w *worker) bool { return w.most() == 0 })
}

// most is how many events w takes in one call, 0 if it takes no lists.
func (w *worker) most() int {
	if w.batch == nil {
		return 0
	}
	return w.batch.MaxBatch()
}

// HandleBatch implements [trigger.BatchHandler].
func (h *handler) HandleBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	for i := range evs {
		errs[i] = event.ErrNotRun
		resps[i].Takes &^= event.TakesStreams
	}
	switch {
	case h.size > 0:
		for len(evs) > 0 {
			n := min(h.size, len(evs))
			h.together(ctx, evs[:n], resps[:n], errs[:n])
			evs, resps, errs = evs[n:], resps[n:], errs[n:]
		}
	case h.pool.submits.Load():
		h.apart(ctx, evs, resps, errs)
	default:
		for i, ev := range evs {
			errs[i] = h.handle(ctx, ev, resps[i])
		}
	}
}

// unrun counts the events that are still to be run, and has those that were
// called back be some of them.
func unrun(errs []error) (n int) {
	for i, err := range errs {
		if event.IsNotRun(err) {
			n++
		} else if err != nil && errors.Is(err, event.ErrRecalled) {
			errs[i] = event.ErrNotRun
			n++
		}
	}
	return n
}

// each tries, with one worker after another, until no event is left unrun or
// no worker can be had. once has a worker run what it can.
func (h *handler) each(ctx context.Context, v *visit, resps []*event.Response, errs []error, once func(w *worker)) {
	var waited time.Duration
	defer func() { v.waited += waited }()
	left := unrun(errs)
	for try := 0; left > 0; {
		w, err := h.pool.take(ctx, h, v)
		if err == nil {
			was := left
			once(w)
			recalled := slices.ContainsFunc(errs, func(err error) bool { return err != nil && errors.Is(err, event.ErrRecalled) })
			if left = unrun(errs); left < was { // the rest waits anew
				waited += v.waited
				*v, try = visit{}, 0
			} else {
				v.again()
				try++
			}
			if v.called = recalled; !recalled && try >= notRunTries && v.waited >= h.wait {
				err = event.ErrBusy
			}
		}
		for i := range errs {
			switch {
			case !event.IsNotRun(errs[i]):
			case err != nil:
				errs[i] = err
			default:
				resps[i].Reset()
			}
		}
		if err != nil {
			return
		}
	}
}

// together runs the events that are marked as unrun in as few calls as the
// workers allow.
func (h *handler) together(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	var v visit
	var ran time.Duration
	h.each(ctx, &v, resps, errs, func(w *worker) {
		lo, hi := window(errs, max(w.most(), 1))
		for i := lo; i < hi; i++ {
			if event.IsNotRun(errs[i]) {
				w.sign(resps[i], nil)
			}
		}
		h.pool.runBatch(ctx, w, v.began, evs[lo:hi], resps[lo:hi], errs[lo:hi])
		ran = v.ran()
	})
	for i := range errs {
		h.meter.Handled(v.waited, ran, errs[i])
	}
}

// window bounds the first events that are unrun, at most so many.
func window(errs []error, most int) (lo, hi int) {
	lo = -1
	for i, err := range errs {
		if !event.IsNotRun(err) {
			continue
		}
		if lo < 0 {
			lo = i
		}
		if hi = i + 1; most == 1 {
			break
		}
		most--
	}
	return lo, hi
}

// runBatch has w run the unrun events in one call, and gives its place back.
func (p *Pool) runBatch(ctx context.Context, w *worker, began time.Duration, evs []*event.Event, resps []*event.Response, errs []error) {
	if p.opts.EventTimeout > 0 && w.killer == nil {
		p.runBatchOrAbandon(ctx, w, evs, resps, errs)
		return
	}
	var c *call
	if p.opts.EventTimeout > 0 {
		c = &call{began: began}
		p.begin(w, c)
	}
	invokeBatch(ctx, w.inst, w.batch, evs, resps, errs)
	broke := worst(errs)
	p.settle(w, c, broke)
	if c != nil && c.late {
		for i, err := range errs {
			if err != nil && errors.Is(err, event.ErrCrashed) {
				errs[i] = event.ErrTimeout // the watchdog has told
			}
		}
	} else if errors.Is(broke, event.ErrCrashed) {
		p.opts.Log.Error("worker died while it ran a batch; its events failed", "worker", w.id, "events", len(evs))
	}
}

// worst is the outcome that tells most of what became of the worker.
func worst(errs []error) (broke error) {
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, event.ErrCrashed):
			return err
		case errors.Is(err, event.ErrNotRun):
			broke = err
		}
	}
	return broke
}

// invokeBatch is invoke for a list. A worker that takes none gets its one event.
func invokeBatch(ctx context.Context, inst runtime.Instance, b runtime.Batcher, evs []*event.Event, resps []*event.Response, errs []error) {
	defer func() {
		if r := recover(); r != nil {
			err := event.Permanent(fmt.Errorf("runtime panicked: %v\n%s", r, debug.Stack()))
			for i := range errs {
				if event.IsNotRun(errs[i]) {
					errs[i] = err
				}
			}
		}
	}()
	if b == nil || b.MaxBatch() == 0 {
		errs[0] = inst.Invoke(ctx, evs[0], resps[0])
		return
	}
	b.InvokeBatch(ctx, evs, resps, errs)
}

// runBatchOrAbandon is runOrAbandon for a list. The function gets lists of its
// own, which it keeps if it is abandoned.
func (p *Pool) runBatchOrAbandon(ctx context.Context, w *worker, evs []*event.Event, resps []*event.Response, errs []error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.opts.EventTimeout)
	c := &call{began: now()}
	p.begin(w, c)
	evs, resps = slices.Clone(evs), slices.Clone(resps)
	own, done := slices.Clone(errs), make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		invokeBatch(ctx, w.inst, w.batch, evs, resps, own)
		p.settle(w, c, worst(own))
	}()
	select {
	case <-done:
	case <-ctx.Done():
		if p.abandon(w, c) {
			for i := range errs {
				if event.IsNotRun(errs[i]) {
					errs[i] = event.Abandon(event.ErrTimeout)
				}
			}
			return
		}
		<-done // it ended at the same moment
	}
	copy(errs, own)
}
