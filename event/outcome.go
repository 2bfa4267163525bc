package event

import (
	"errors"
	"fmt"
)

// Outcomes of running a function on an event; see [trigger.Handler] for what
// each means to a source. They are compared with errors.Is.
var (
	// ErrBusy says that no worker was free in time; the event was not run.
	ErrBusy = errors.New("no free worker")
	// ErrNotRun says that the worker was lost before it began this event: it
	// is safe to run it on another one, and the pool does.
	ErrNotRun = errors.New("event was not run")
	// ErrRecalled says that the event was called back from a worker that had
	// not begun it, because another could begin it sooner: nothing is wrong
	// with either. The pool runs it elsewhere; nobody above the pool sees it.
	ErrRecalled = errors.New("event was called back before it was run")
	// ErrCrashed says that the worker died while it ran this event.
	ErrCrashed = errors.New("worker died while it ran the event")
	// ErrTimeout says that the function did not answer within the event's
	// deadline.
	ErrTimeout = errors.New("handler timed out")
	// ErrStopping says that the processor takes no more events; not run.
	ErrStopping = errors.New("processor is stopping")
	// ErrLater says that the function ran and will acknowledge by Token.
	ErrLater = errors.New("acknowledged later")
)

// IsNotRun is errors.Is(err, ErrNotRun). For nil and for ErrNotRun itself, which
// is what the entries of a batch are, it costs a comparison.
func IsNotRun(err error) bool {
	return err == ErrNotRun || err != nil && errors.Is(err, ErrNotRun) //nolint:errorlint // the short way first
}

// Error is a failure that the function itself answered: an exception, a
// returned error, a panic. Status is the HTTP status that it asked for, 500
// unless it said otherwise.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an [Error].
func Errorf(status int, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks err as one that will come again if the event is run again.
func Permanent(err error) error { return permanent{err} }

// IsPermanent reports whether err was marked with [Permanent].
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p)
}

type abandoned struct{ error }

func (a abandoned) Unwrap() error { return a.error }

// Abandon marks err as the outcome of an event whose function still runs and
// cannot be stopped: its lent memory stays with the function.
func Abandon(err error) error { return abandoned{err} }

// Abandoned reports whether err was marked with [Abandon].
func Abandoned(err error) bool {
	var a abandoned
	return errors.As(err, &a)
}
