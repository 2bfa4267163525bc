package worker

import (
	"context"
	"sync"
	"unsafe"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// parking lets workers stay between events where the next event of the same
// thread finds them, without the pool's lock, over which the threads of a fast
// native function would contend. For the pool a parked worker is still in
// use; whoever finds no other one takes all out of the lots.
//
// It is for pools whose workers cannot be lost: functions in this process that
// have no deadline.
type parking struct {
	lots []lot // none: no parking
	room int   // workers that one lot takes
}

type lot struct {
	mu      sync.Mutex
	workers []*worker
	taken   uint64
	_       [64]byte // lots of different threads share no cache line
}

const maxLots = 8

// open decides whether the pool's workers may park. All of them are there.
func (k *parking) open(p *Pool) {
	if p.opts.EventTimeout > 0 {
		return
	}
	for _, w := range p.workers {
		_, breaks := w.inst.(runtime.Broken)
		if breaks || w.deep != nil || w.killer != nil {
			return
		}
	}
	n := 1
	for n < maxLots && 4*n <= p.opts.Size {
		n *= 2
	}
	if n > 1 {
		k.lots, k.room = make([]lot, n), p.opts.Size/n
	}
}

// lotOf chooses by the event's address: triggers use events again, each thread
// its own.
func (k *parking) lotOf(ev *event.Event) *lot {
	h := uint64(uintptr(unsafe.Pointer(ev))>>6) * 0x9E3779B97F4A7C15
	return &k.lots[(h>>32)&uint64(len(k.lots)-1)]
}

// take returns a parked worker, nil if there is none, and whether its event is
// one to measure.
func (l *lot) take() (w *worker, measure bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.workers)
	if n == 0 {
		return nil, false
	}
	w = l.workers[n-1]
	l.workers = l.workers[:n-1]
	l.taken++
	return w, l.taken%Sample == 0
}

// park keeps w, if there is room.
func (l *lot) park(w *worker, room int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.workers) >= room {
		return false
	}
	l.workers = append(l.workers, w)
	return true
}

// runParked is run for a worker that may park afterwards. An event that began
// to wait, or a stop, may have come after the look at held and before the
// worker was parked: so it is looked at again, as they look at the lots again.
func (p *Pool) runParked(ctx context.Context, w *worker, l *lot, ev *event.Event, resp *event.Response) error {
	err := invoke(ctx, w.inst, ev, resp)
	if p.keep(w, nil, resp, err) {
		return nil
	}
	if p.held.Load() > 0 || !l.park(w, p.parking.room) {
		p.settle(w, nil, err)
		return err
	}
	if p.held.Load() > 0 {
		p.unpark()
	}
	return err
}

// unpark gives all parked workers back to the pool.
func (p *Pool) unpark() {
	for i := range p.parking.lots {
		l := &p.parking.lots[i]
		l.mu.Lock()
		ws := l.workers
		l.workers = nil
		l.mu.Unlock()
		for _, w := range ws {
			p.settle(w, nil, nil)
		}
	}
}

// parked counts the workers in the lots.
func (p *Pool) parked() (n int) {
	for i := range p.parking.lots {
		l := &p.parking.lots[i]
		l.mu.Lock()
		n += len(l.workers)
		l.mu.Unlock()
	}
	return n
}
