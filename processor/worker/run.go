package worker

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// worker is one instance and what runs in it. All but inst, id and the
// optional faces of inst is guarded by Pool.mu.
type worker struct {
	id     int
	inst   runtime.Instance
	deep   runtime.Concurrent // nil if one event at a time
	killer runtime.Killer     // nil if it cannot be stopped from outside
	recall runtime.Recaller   // nil if it cannot give events back
	lender event.Lender       // nil if it lends no memory
	batch  runtime.Batcher    // nil if it takes no lists
	submit runtime.Submitter  // nil if each event needs a goroutine
	broken <-chan struct{}    // closed when inst broke; nil if it cannot by itself

	inFlight int
	finished uint64 // events that came out of it, however they ended
	seen     uint64 // finished when unstick last looked; its own
	able     bool   // it was idle or got on; unstick's own
	lost     bool   // takes no more events; is being replaced
	stuck    bool   // lost to a native function that may never return
	oldest   *call  // running calls, in the order they began; if there is a deadline
	newest   *call
	gone     chan struct{} // closed when nothing runs in a lost worker
}

// call is one running event, kept if it has a deadline.
type call struct {
	began      time.Duration // as of now()
	late       bool          // killed for it
	settled    bool
	next, prev *call
}

// run invokes w and gives its place back.
func (p *Pool) run(ctx context.Context, w *worker, began time.Duration, ev *event.Event, resp *event.Response) error {
	switch {
	case p.opts.EventTimeout <= 0:
		err := invoke(ctx, w.inst, ev, resp)
		if p.keep(w, nil, resp, err) {
			return nil
		}
		p.settle(w, nil, err)
		p.tell(w, ev, err)
		return err
	case w.killer != nil:
		c := call{began: began}
		p.begin(w, &c)
		err := invoke(ctx, w.inst, ev, resp)
		if p.keep(w, &c, resp, err) {
			return nil
		}
		if p.settle(w, &c, err); c.late && errors.Is(err, event.ErrCrashed) {
			return event.ErrTimeout // the watchdog has told
		}
		p.tell(w, ev, err)
		return err
	}
	return p.runOrAbandon(ctx, w, ev, resp)
}

// sign tells the caller whose answer it is; see [event.Response]. An abandoned
// response is not the caller's.
func (w *worker) sign(resp *event.Response, err error) {
	if w.broken != nil && (err == nil || errors.Is(err, event.ErrLater)) {
		resp.Worker = w.broken
	}
}

// tell logs an event that failed with its worker.
func (p *Pool) tell(w *worker, ev *event.Event, err error) {
	if err != nil && errors.Is(err, event.ErrCrashed) {
		p.opts.Log.Error("worker died while it ran an event; the event failed", "worker", w.id, "event", string(ev.ID))
	}
}

// invoke turns a panic of the instance itself into an outcome, so that a
// worker's place is given back whatever happens.
func invoke(ctx context.Context, inst runtime.Instance, ev *event.Event, resp *event.Response) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = event.Permanent(fmt.Errorf("runtime panicked: %v\n%s", r, debug.Stack()))
		}
	}()
	return inst.Invoke(ctx, ev, resp)
}

// settle gives the place back and has w replaced if err says that it broke.
func (p *Pool) settle(w *worker, c *call, err error) {
	broke := err != nil && (errors.Is(err, event.ErrCrashed) || errors.Is(err, event.ErrNotRun))
	p.mu.Lock()
	if c != nil {
		w.forget(c)
		c.settled = true
	}
	if broke {
		p.lose(w)
	}
	p.put(w)
	if w.lost && w.inFlight == 0 {
		close(w.gone)
	}
	p.mu.Unlock()
}

// runOrAbandon runs an instance that cannot be stopped, and after the event's
// deadline leaves it alone with the event and takes another in its place.
func (p *Pool) runOrAbandon(ctx context.Context, w *worker, ev *event.Event, resp *event.Response) error {
	// ctx is for the function to look at; the caller's own end is not its end.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.opts.EventTimeout)
	c := &call{began: now()}
	p.begin(w, c)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		err := invoke(ctx, w.inst, ev, resp)
		p.settle(w, c, err)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if !p.abandon(w, c) { // it ended at the same moment
		return <-done
	}
	return event.Abandon(event.ErrTimeout)
}

// abandon gives up on c unless it has ended.
func (p *Pool) abandon(w *worker, c *call) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.settled {
		return false
	}
	w.stuck = true
	p.abandoned++
	p.lose(w)
	return true
}

func (p *Pool) begin(w *worker, c *call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.prev = w.newest
	if w.newest == nil {
		w.oldest = c
	} else {
		w.newest.next = c
	}
	w.newest = c
}

func (w *worker) forget(c *call) {
	if c.prev == nil {
		w.oldest = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		w.newest = c.prev
	} else {
		c.next.prev = c.prev
	}
}
