package shm

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/myelin-run/myelin/runtime"
)

// Ahead keeps workers that were begun before they are opened, for runtimes that
// embed it: with it they are a runtime.Loading, and with a Warm of their own a
// runtime.Warmer. The zero Ahead has none.
type Ahead struct {
	mu    sync.Mutex
	begun map[runtime.Worker]*Pending
	took  time.Duration
}

// Begin begins the worker for w, unless it is begun.
func (a *Ahead) Begin(w runtime.Worker, o Options) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun[w] != nil {
		return nil
	}
	p, err := Begin(o)
	if err != nil {
		return err
	}
	if a.begun == nil {
		a.begun = map[runtime.Worker]*Pending{}
	}
	a.begun[w] = p
	return nil
}

// Open opens the worker for w: the one that was begun for it if that lives, else
// a new one.
func (a *Ahead) Open(ctx context.Context, w runtime.Worker, o Options) (*Instance, error) {
	in, err := a.finish(ctx, w)
	if in == nil && err == nil {
		in, err = Start(ctx, o)
	}
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.took = max(a.took, in.Loading())
	return in, nil
}

// finish returns neither instance nor error if there is nobody to open, or if it
// died before it could be.
func (a *Ahead) finish(ctx context.Context, w runtime.Worker) (*Instance, error) {
	p := a.take(w)
	if p == nil {
		return nil, nil
	}
	if !p.Alive() {
		p.Close()
		return nil, nil
	}
	in, err := p.Finish(ctx)
	if errors.Is(err, errEnded) && ctx.Err() == nil {
		return nil, nil
	}
	return in, err
}

func (a *Ahead) take(w runtime.Worker) *Pending {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.begun[w]
	delete(a.begun, w)
	return p
}

// Cool ends the workers that were begun and not opened.
func (a *Ahead) Cool() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.begun {
		p.Close()
	}
	a.begun = nil
}

// Pids are the processes of the workers that were begun and not opened.
func (a *Ahead) Pids() (pids []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.begun {
		pids = append(pids, p.in.Pid())
	}
	return pids
}

// Loading implements runtime.Loading.
func (a *Ahead) Loading() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.took
}
