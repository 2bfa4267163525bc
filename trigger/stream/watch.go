package stream

import (
	"errors"

	"github.com/myelin-run/myelin/trigger"
)

// Watched is implemented by sources that say how much waits while nobody reads them.
type Watched interface {
	// Watch is [trigger.Watchable]'s.
	Watch() (trigger.Waiter, error)
}

// Watch implements [trigger.Watchable] for the sources that can be watched.
func (e *Engine) Watch() (trigger.Waiter, error) {
	if w, ok := e.src.(Watched); ok {
		return w.Watch()
	}
	return nil, errors.New("the source cannot be asked how much waits, so one replica stays")
}
