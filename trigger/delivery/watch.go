package delivery

import "sync"

// Watch hears of workers that go while events are open that they were to
// acknowledge later. It has one goroutine for each worker that ever kept one.
type Watch struct {
	gone func(worker <-chan struct{})

	mu      sync.Mutex
	over    map[<-chan struct{}]bool
	end     chan struct{}
	ended   bool
	running sync.WaitGroup
}

// NewWatch makes a watch that calls gone, once or several times, when a worker
// has gone.
func NewWatch(gone func(worker <-chan struct{})) *Watch {
	return &Watch{gone: gone, over: map[<-chan struct{}]bool{}, end: make(chan struct{})}
}

// Over has the worker watched; nil is one that cannot go. It is called after the
// event is noted as open: if the worker has gone meanwhile, gone is called
// again.
func (w *Watch) Over(worker <-chan struct{}) {
	if worker == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || w.over[worker] {
		return
	}
	w.over[worker] = true
	w.running.Go(func() { w.wait(worker) })
}

func (w *Watch) wait(worker <-chan struct{}) {
	select {
	case <-w.end:
		return
	case <-worker:
	}
	w.mu.Lock()
	delete(w.over, worker)
	w.mu.Unlock()
	w.gone(worker)
}

// Close ends the watch, and waits for calls of gone that run.
func (w *Watch) Close() {
	w.mu.Lock()
	if !w.ended {
		w.ended = true
		close(w.end)
	}
	w.mu.Unlock()
	w.running.Wait()
}
