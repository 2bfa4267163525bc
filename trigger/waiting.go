package trigger

import (
	"context"
	"time"
)

// Watchable is implemented by triggers whose source can be watched while they do
// not run, by who has them started when there is something to do.
type Watchable interface {
	// Watch returns who watches, and opens nothing. An error says why this one
	// cannot be watched.
	Watch() (Waiter, error)
}

// Waiter says how much waits at a source. Its methods are called by one
// goroutine.
type Waiter interface {
	// Waiting says how many events wait. The first call may connect; after an
	// error the next one connects again.
	Waiting(ctx context.Context) (int64, error)
	// Close lets go of what Waiting opened. Waiting may be called again.
	Close()
}

// Soon is implemented by waiters that know when the next event comes: Soon says
// whether who runs it is to be there now.
type Soon interface{ Soon(at time.Time) bool }
