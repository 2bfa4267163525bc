package data

import (
	"context"
	"sync"
)

// Pending are the writes of one event, or of the events of one call, that were
// taken and are not done yet. The event is not done before they are.
type Pending struct {
	mu   sync.Mutex
	n    int
	err  error
	idle chan struct{} // closed when n is 0 again; nil while it is
}

// Begin notes a write.
func (p *Pending) Begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n++; p.n == 1 {
		p.idle = make(chan struct{})
	}
}

// End notes how a write ended.
func (p *Pending) End(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	if p.n--; p.n == 0 {
		close(p.idle)
		p.idle = nil
	}
}

// Any reports whether there are writes that are not done.
func (p *Pending) Any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n > 0
}

// Wait waits until all writes are done, or ctx is, and returns the first failure
// of any since the beginning.
func (p *Pending) Wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		idle, err := p.idle, p.err
		p.mu.Unlock()
		if idle == nil {
			return err
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return As(Timeout, ctx.Err())
		}
	}
}

type pendingKey struct{}

// WithPending lets the writes that get the context belong to p.
func WithPending(ctx context.Context, p *Pending) context.Context {
	return context.WithValue(ctx, pendingKey{}, p)
}

// PendingOf returns to what the writes that get ctx belong; nil: they are to be
// done at once.
func PendingOf(ctx context.Context) *Pending {
	p, _ := ctx.Value(pendingKey{}).(*Pending)
	return p
}

// Deferrer is implemented by stores that may take a write before it is done; see
// [Pending].
type Deferrer interface{ Defers() bool }

// Defers reports whether writes of a handle may be taken before they are done.
func Defers(handle any) bool {
	var store any
	switch h := handle.(type) {
	case *KV:
		store = h.store
	case *Table:
		store = h.db
	}
	d, ok := store.(Deferrer)
	return ok && d.Defers()
}
