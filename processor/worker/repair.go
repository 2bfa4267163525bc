package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

const (
	firstBackOff = 50 * time.Millisecond
	maxBackOff   = 5 * time.Second
	closeTime    = 5 * time.Second // a broken instance may take to close
	openTime     = 2 * time.Minute // a replacement may take to open
)

// open makes the worker id, without giving it to anyone.
func (p *Pool) open(ctx context.Context, id int) (*worker, error) {
	who := p.opts.Worker
	who.ID = id
	inst, err := p.rt.Open(ctx, who)
	if err != nil {
		return nil, fmt.Errorf("open worker %d: %w", id, err)
	}
	w := &worker{id: id, inst: inst, gone: make(chan struct{})}
	w.deep, _ = inst.(runtime.Concurrent)
	w.killer, _ = inst.(runtime.Killer)
	w.lender, _ = inst.(event.Lender)
	w.recall, _ = inst.(runtime.Recaller)
	w.batch, _ = inst.(runtime.Batcher)
	w.submit, _ = inst.(runtime.Submitter)
	if _, ok := inst.(runtime.Apart); ok {
		p.apart.Store(true) // they are all of one kind
	}
	if b, ok := inst.(runtime.Broken); ok {
		w.broken = b.Broken()
	}
	return w, nil
}

// add lets w take events and watches it.
func (p *Pool) add(w *worker) {
	p.mu.Lock()
	p.workers = append(p.workers, w)
	p.idle = append(p.idle, w)
	p.deep = p.deep || w.deep != nil
	p.submits.Store(w.submit != nil) // they are all of one kind
	p.admit()
	p.mu.Unlock()
	if w.broken != nil {
		p.repairs.Go(func() {
			select {
			case <-w.broken:
				p.mu.Lock()
				p.lose(w)
				p.mu.Unlock()
			case <-w.gone:
			case <-p.life.Done():
			}
		})
	}
}

// lose takes w out of the pool and has it replaced. p.mu is held.
func (p *Pool) lose(w *worker) {
	if w.lost {
		return
	}
	w.lost = true
	p.workers = slices.DeleteFunc(p.workers, func(o *worker) bool { return o == w })
	p.idle = slices.DeleteFunc(p.idle, func(o *worker) bool { return o == w })
	if w.inFlight == 0 {
		close(w.gone)
	}
	if p.stopping {
		return
	}
	p.restarts++
	p.repairs.Go(func() { p.replace(w.id) })
	p.repairs.Go(func() { p.bury(w) })
}

// bury closes a lost worker once nothing runs in it. One whose native function
// never returns is left to the end of the process.
func (p *Pool) bury(w *worker) {
	end := p.life.Done()
	if w.killer != nil { // then it does end
		end = nil
	}
	select {
	case <-w.gone:
	case <-end:
		return
	}
	if w.stuck {
		p.mu.Lock()
		p.abandoned--
		p.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := w.inst.Close(ctx); err != nil {
		p.opts.Log.Debug("lost worker closed", "worker", w.id, "error", err)
	}
}

// replace opens worker id anew: at once, then with growing pauses.
func (p *Pool) replace(id int) {
	for pause := firstBackOff; ; pause = min(2*pause, maxBackOff) {
		ctx, cancel := context.WithTimeout(p.life, openTime)
		w, err := p.open(ctx, id)
		cancel()
		if err == nil {
			p.mu.Lock()
			stopping := p.stopping
			p.mu.Unlock()
			if stopping {
				p.closeOne(w)
				return
			}
			p.add(w)
			p.opts.Log.Info("worker replaced", "worker", id)
			return
		}
		if p.life.Err() != nil {
			return
		}
		p.opts.Log.Error("worker does not start; trying again", "worker", id, "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-p.life.Done():
			return
		}
	}
}

// watch kills workers whose oldest event is past its deadline.
func (p *Pool) watch() {
	defer close(p.watching)
	tick := time.NewTicker(min(max(p.opts.EventTimeout/20, time.Millisecond), 250*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-p.life.Done():
			return
		case <-tick.C:
			for _, w := range p.overdue(now()) {
				p.opts.Log.Warn("handler timed out; worker is killed", "worker", w.id, "timeout", p.opts.EventTimeout)
				if err := w.killer.Kill(); err != nil {
					p.opts.Log.Error("kill worker", "worker", w.id, "error", err)
				}
			}
		}
	}
}

func (p *Pool) overdue(at time.Duration) (late []*worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range slices.Clone(p.workers) {
		if c := w.oldest; c == nil || w.killer == nil || at-c.began < p.opts.EventTimeout {
			continue
		}
		for c := w.oldest; c != nil && at-c.began >= p.opts.EventTimeout; c = c.next {
			c.late = true
		}
		p.lose(w)
		late = append(late, w)
	}
	return late
}

// Close closes all instances, each within ctx. No Handle may run any more but
// for abandoned ones.
func (p *Pool) Close(ctx context.Context) error {
	p.stop()
	p.mu.Lock()
	ws := p.workers
	p.workers, p.idle = nil, nil
	p.mu.Unlock()
	errs := make([]error, len(ws))
	var wg sync.WaitGroup
	for i, w := range ws {
		wg.Go(func() { errs[i] = w.inst.Close(ctx) })
	}
	wg.Wait()
	p.repairs.Wait()
	return errors.Join(errs...)
}

func (p *Pool) closeOne(w *worker) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := w.inst.Close(ctx); err != nil {
		p.opts.Log.Debug("worker closed", "worker", w.id, "error", err)
	}
}

// Kill is the hard stop: events that wait get event.ErrStopping, and workers
// that can be killed are, so that their events return. Close still follows.
func (p *Pool) Kill() {
	p.stop()
	p.mu.Lock()
	ws := slices.Clone(p.workers)
	p.mu.Unlock()
	for _, w := range ws {
		if w.killer != nil {
			if err := w.killer.Kill(); err != nil {
				p.opts.Log.Error("kill worker", "worker", w.id, "error", err)
			}
		}
	}
}

// stop ends repairs and the watchdog, and sends waiting events away.
func (p *Pool) stop() {
	p.mu.Lock()
	p.stopping = true
	p.held.Add(1)
	for p.queue.waiting > 0 {
		p.queue.next().turn <- nil
	}
	p.mu.Unlock()
	p.unpark()
	p.end()
	if p.recall.done != nil {
		<-p.recall.done
	}
	if p.watching != nil {
		<-p.watching
	}
}
