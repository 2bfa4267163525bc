package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
)

// take returns a worker with room for one more event, and notes its times.
func (p *Pool) take(ctx context.Context, h *handler, v *visit) (*worker, error) {
	if v.lot != nil && p.held.Load() == 0 {
		if w, measure := v.lot.take(); w != nil {
			if v.began = 0; measure {
				v.began = now()
			}
			return w, nil
		}
	}
	p.mu.Lock()
	if p.stopping {
		p.mu.Unlock()
		return nil, event.ErrStopping
	}
	h.taken++
	measure := h.taken%Sample == 0 || p.opts.EventTimeout > 0 || v.came != 0
	if p.queue.waiting == 0 { // nobody is passed over
		if w := p.any(v); w != nil {
			p.mu.Unlock()
			if v.began = 0; measure {
				v.began = now()
			}
			return w, nil
		}
	}
	if p.stopping { // while any looked for parked ones
		p.mu.Unlock()
		return nil, event.ErrStopping
	}
	wait := h.wait
	if v.called { // it had its place, and did not lose it for a fault of its own
		wait = max(wait, recalledWait)
	}
	if wait <= 0 {
		p.mu.Unlock()
		return nil, event.ErrBusy
	}
	t := tickets.Get().(*ticket)
	p.queue.join(h, t)
	p.held.Add(1)
	p.mu.Unlock()
	defer p.held.Add(-1)
	p.unpark() // what parked since the last look
	if v.came == 0 {
		v.came = now()
	}
	w, err := p.await(ctx, h, t, wait-v.waited)
	v.began = now()
	v.waited = v.began - v.came
	return w, err
}

// any takes a place in whatever worker has one. p.mu is held, and given up for
// a moment if the parked ones have to be looked for.
func (p *Pool) any(v *visit) *worker {
	if w := p.prefer(v.from); w != nil {
		return w
	}
	w := p.pick()
	if w == nil && v.lot != nil {
		p.mu.Unlock()
		p.unpark()
		p.mu.Lock()
		if p.queue.waiting == 0 && !p.stopping {
			w = p.pick()
		}
	}
	return w
}

// await blocks until t is given a worker, or gives up.
func (p *Pool) await(ctx context.Context, h *handler, t *ticket, wait time.Duration) (*worker, error) {
	t.timer.Reset(max(wait, 0))
	var err error
	select {
	case w := <-t.turn:
		return p.admitted(t, w)
	case <-t.timer.C:
		err = event.ErrBusy
	case <-ctx.Done():
		err = event.ErrBusy
	}
	p.mu.Lock()
	left := p.queue.leave(h, t)
	p.mu.Unlock()
	if !left { // its turn came at the same moment
		return p.admitted(t, <-t.turn)
	}
	t.recycle()
	return nil, err
}

func (p *Pool) admitted(t *ticket, w *worker) (*worker, error) {
	t.recycle()
	if w == nil {
		return nil, event.ErrStopping
	}
	return w, nil
}

// prefer takes a place in the worker of the instance from, if it has room:
// there the body need not be copied. p.mu is held.
func (p *Pool) prefer(from any) *worker {
	if from == nil {
		return nil
	}
	for _, w := range p.workers {
		switch {
		case w.inst != from:
		case w.inFlight == 0:
			p.idle = slices.DeleteFunc(p.idle, func(o *worker) bool { return o == w })
			w.inFlight = 1
			return w
		case len(p.idle) == 0 && w.deep != nil && w.inFlight < w.deep.Depth():
			if w.inFlight++; w.inFlight > 1 {
				p.recall.look()
			}
			return w
		}
	}
	return nil
}

// pick takes a place in an idle worker, else in the one with the fewest
// events that has room, else returns nil. p.mu is held.
func (p *Pool) pick() *worker {
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		w.inFlight++
		return w
	}
	if !p.deep {
		return nil
	}
	var best *worker
	for _, w := range p.workers {
		if w.deep == nil || best != nil && w.inFlight >= best.inFlight {
			continue
		}
		if w.inFlight < w.deep.Depth() {
			best = w
		}
	}
	if best != nil {
		if best.inFlight++; best.inFlight > 1 {
			p.recall.look()
		}
	}
	return best
}

// put gives a place in w back and lets waiting events have it. p.mu is held.
func (p *Pool) put(w *worker) {
	w.inFlight--
	w.finished++
	if w.inFlight == 0 && !w.lost {
		p.idle = append(p.idle, w)
	}
	p.admit()
}

// admit gives free places to waiting events, a trigger at a time. p.mu is held.
func (p *Pool) admit() {
	for p.queue.waiting > 0 {
		w := p.pick()
		if w == nil {
			return
		}
		p.queue.next().turn <- w
	}
}

// ticket is a waiting event. turn gets the worker, or nil when the pool stops.
type ticket struct {
	turn       chan *worker // of capacity 1, so that giving never blocks
	timer      *time.Timer
	next, prev *ticket
	inLine     bool
}

var tickets = sync.Pool{New: func() any {
	t := &ticket{turn: make(chan *worker, 1), timer: time.NewTimer(time.Hour)}
	t.timer.Stop()
	return t
}}

func (t *ticket) recycle() {
	t.timer.Stop()
	tickets.Put(t)
}
