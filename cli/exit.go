package cli

import (
	"errors"
	"fmt"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // wrong command line or invalid configuration
	exitDiffers     = 2 // of a dry run, whose mistakes are exitFailed
	exitNotFound    = 3
	exitConflict    = 4
	exitUnreachable = 5 // the control plane does not answer
	exitBuild       = 6
	exitNotReady    = 7  // deployed, but not serving in time
	exitRefused     = 8  // the control plane does not know who asks, or they may not
	exitRolledBack  = 9  // a rollout ended without its version having all traffic
	exitIncomplete  = 10 // a job ended without each item being completed
	exitInterrupted = 130
)

// failure is an error with the exit code that it means, and what to do.
type failure struct {
	code int
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

func fail(code int, err error, hint string) error {
	if err == nil {
		return nil
	}
	return &failure{code: code, err: err, hint: hint}
}

// misused gives err the code of a wrong use unless it has one.
func misused(err error) error {
	var f *failure
	if err == nil || errors.As(err, &f) {
		return err
	}
	return fail(exitUsage, err, "")
}
