package queue

import (
	"errors"

	"github.com/myelin-run/myelin/trigger"
)

// Watch implements [trigger.Watchable] for the sources that can be watched.
func (e *Engine) Watch() (trigger.Waiter, error) {
	if w, ok := e.src.(Watched); ok {
		return w.Watch()
	}
	return nil, errors.New("the source cannot be asked how much waits, so one replica stays")
}
