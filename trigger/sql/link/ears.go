package link

import (
	"context"
	"sync"
)

// Ears hear what a database tells of changes, on a connection of their own.
type Ears struct {
	changed chan struct{}
	cancel  context.CancelFunc
	end     sync.WaitGroup

	mu   sync.Mutex
	deaf error
}

// Hear begins to listen on a channel; "" hears nothing. The context is that of
// the connecting only.
func (a *Address) Hear(ctx context.Context, channel string) *Ears {
	e := &Ears{changed: make(chan struct{}, 1)}
	ctx, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if channel == "" {
		return e
	}
	e.end.Go(func() {
		err := a.Listen(ctx, channel, e.rouse)
		e.mu.Lock()
		e.deaf = err
		e.mu.Unlock()
		e.rouse()
	})
	return e
}

func (e *Ears) rouse() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// Changed has a value when there may be something new, and once nothing is heard
// any more.
func (e *Ears) Changed() <-chan struct{} { return e.changed }

// Err says why nothing is heard any more; nil if all is well.
func (e *Ears) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.deaf
}

// Close ends the listening.
func (e *Ears) Close() {
	e.cancel()
	e.end.Wait()
}
