package trigger

import (
	"context"
	"sync"
)

// Attempt is one run of an event, as what the function calls may know it by the
// context.
type Attempt struct {
	At Place

	mu    sync.Mutex
	wrote map[string]bool
}

type attemptKey struct{}

// WithAttempt returns the context of a run of the event at a place.
func WithAttempt(ctx context.Context, at Place) context.Context {
	return context.WithValue(ctx, attemptKey{}, &Attempt{At: at})
}

// AttemptOf returns the run that ctx is of; nil if that is not known, as with
// events that have no order.
func AttemptOf(ctx context.Context) *Attempt {
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	return a
}

// Writes notes that the run has written a key.
func (a *Attempt) Writes(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wrote == nil {
		a.wrote = map[string]bool{}
	}
	a.wrote[key] = true
}

// Wrote reports whether it has.
func (a *Attempt) Wrote(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.wrote[key]
}
