package worker

import (
	"time"

	"github.com/myelin-run/myelin/runtime"
)

const (
	// recallAfter is how long an event waits unbegun inside a worker before it
	// is called back, at least, and twice that at most. It is several times
	// what a worker is meant to have waiting.
	recallAfter = time.Millisecond
	// recalledWait is how long an event that was called back may wait for a
	// worker, even if its trigger would not have it wait at all.
	recalledWait = 10 * time.Second
)

// recalls is what unstick shares with the rest of the pool.
type recalls struct {
	looking bool          // unstick runs its clock; guarded by Pool.mu
	wake    chan struct{} // of capacity 1
	done    chan struct{} // closed when unstick has ended; nil if the pool has one worker
}

// look starts the clock of unstick: an event waits behind another. p.mu is held.
func (r *recalls) look() {
	if r.looking || r.done == nil {
		return
	}
	r.looking = true
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// unstick calls back events that wait behind a slow one while another worker
// could run them. It sleeps while no worker has more than one event.
func (p *Pool) unstick() {
	defer close(p.recall.done)
	clock := time.NewTicker(time.Hour)
	defer clock.Stop()
	for {
		select {
		case <-p.life.Done():
			return
		case <-p.recall.wake:
			clock.Reset(recallAfter)
		case <-clock.C:
			stuck, more := p.stuck()
			for _, r := range stuck {
				r.Recall()
			}
			if !more {
				clock.Reset(time.Hour)
			}
		}
	}
}

// stuck lists the workers from which events should be called back: those with
// several, if another worker is idle or gets on with its own. more says that
// it is worth looking again.
func (p *Pool) stuck() (all []runtime.Recaller, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	able := 0 // workers that could take an event
	for _, w := range p.workers {
		w.able = w.inFlight == 0 || w.finished != w.seen
		w.seen = w.finished
		if w.able {
			able++
		}
	}
	for _, w := range p.workers {
		if w.inFlight < 2 || w.recall == nil {
			continue
		}
		more = true
		if able > 1 || able == 1 && !w.able {
			all = append(all, w.recall)
		}
	}
	p.recall.looking = more
	return all, more
}
