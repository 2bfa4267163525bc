// Package data is what functions use of a data binding, and what a driver is
// to it: keys, objects, tables and streams behind one interface for each class,
// so that moving from one service to another changes only the spec. It knows no
// service and no spec, starts nothing, and imports the standard library only.
package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

// Reason says why a call failed, as the status of HTTP that comes closest.
// Every error of a binding has one: ask with errors.Is(err, data.NotFound), or
// [ReasonOf].
type Reason int

// The reasons.
const (
	Misuse      Reason = 400 // the call is wrong, and will be wrong again
	Denied      Reason = 403 // the service does not let this user in, or not do this
	NotFound    Reason = 404
	Conflict    Reason = 409 // the condition did not hold: another version, or it is there already
	TooLarge    Reason = 413 // the value, or the answer, is above the binding's limit
	Busy        Reason = 429 // all connections are in use
	Unsupported Reason = 501 // not this class's or kind's
	Away        Reason = 503 // the service cannot be reached
	Timeout     Reason = 504 // it was not done in time; a write may still have been done
)

var said = map[Reason]string{
	Misuse: "wrong use", Denied: "denied", NotFound: "not found", Conflict: "conflict", TooLarge: "too large", Busy: "all connections are in use",
	Unsupported: "not supported", Away: "the service is away", Timeout: "not done in time",
}

// Error implements error.
func (r Reason) Error() string {
	if s, ok := said[r]; ok {
		return s
	}
	return fmt.Sprintf("reason %d", int(r))
}

// Errorf makes an error with a reason.
func Errorf(r Reason, format string, args ...any) error {
	return &failure{r, fmt.Errorf(format, args...)}
}

// As gives err a reason; nil stays nil.
func As(r Reason, err error) error {
	if err == nil {
		return nil
	}
	return &failure{r, err}
}

// failure is an error with its reason, which it does not repeat in words.
type failure struct {
	reason Reason
	err    error
}

func (f *failure) Error() string   { return f.err.Error() }
func (f *failure) Unwrap() []error { return []error{f.reason, f.err} }

// ReasonOf returns why err failed; 0 if nobody said so.
func ReasonOf(err error) Reason {
	var r Reason
	if errors.As(err, &r) {
		return r
	}
	return 0
}

// Classify gives err a reason by what the standard library says of it, unless
// it has one: contexts that ended, connections that broke.
func Classify(err error) error {
	if err == nil || ReasonOf(err) != 0 {
		return err
	}
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return As(Timeout, err)
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return As(Away, err)
	}
	return err
}
