// Package dev runs one function while its author edits it: it builds, serves,
// watches the sources, and on a save replaces the processor without losing a
// request. It needs no control plane. It knows neither languages nor builders:
// how to build is a function that it is given.
package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/logline"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/trigger/letter"
)

// Options say what to run and where.
type Options struct {
	// Path is the function's source, a file or a directory. What is watched is
	// the directory, or the one that the file is in.
	Path string
	// Build makes the artefact of what is at Path now, with its complete
	// configuration, secrets included.
	Build func(ctx context.Context) (build.Artefact, error)
	// Processor is the program that runs artefacts without a command of their
	// own.
	Processor string
	// Address is the IP and port of the first HTTP trigger; port 0 lets the
	// system choose.
	Address string
	// Environment of the processor.
	Environment []string
	Observer    Observer
	// Wishes are what is to be run again, as it is typed. May be nil.
	Wishes <-chan Wish
	// Replay has the last event run again after each reload.
	Replay bool
}

// Wish is to run an event again, 1 being the last one, 2 the one before; 0 is to
// be told which there are.
type Wish int

// Observer hears what happens, one call at a time.
type Observer interface {
	// Listening says where requests can be sent: once, before anything else.
	Listening(trigger, address string)
	// Building says that sources changed; changed is empty the first time.
	Building(changed []string)
	// Serving says that a new processor answers from now on.
	Serving(s Serving)
	// Failed says that a build or a start failed; old tells whether a
	// processor from before goes on.
	Failed(err error, old bool)
	// Log is a line of the function or of its processor.
	Log(l logline.Line)
	// Recalled says which events can be run again, the last one at the end.
	Recalled(events []tap.Event)
	// Replayed says what became of an event that was run again, or why it was not.
	Replayed(e tap.Event, out letter.Outcome, err error)
	// Draining says that the last processor finishes what it has.
	Draining()
}

// Serving is what a successful reload took.
type Serving struct {
	Digest       string
	Total        time.Duration // from the save to ready
	Build, Start time.Duration
	First, Same  bool // nothing ran before; nothing had to be replaced
}

// StartError is why a new processor does not serve.
type StartError struct {
	Reason string
	Log    []string // the last lines that it wrote
}

func (e *StartError) Error() string { return "the function does not run: " + e.Reason }

// Run serves until ctx is done, then drains. It returns an error if it cannot
// begin, or if the last processor did not drain in time.
func Run(ctx context.Context, o Options) error {
	dir, err := os.MkdirTemp("", "myelin-dev-")
	if err != nil {
		return fmt.Errorf("make run directory: %w", err)
	}
	defer os.RemoveAll(dir)
	w, err := newWatch(o.Path)
	if err != nil {
		return err
	}
	defer w.close()
	l := &loop{o: o, observer: &serial{o: o.Observer}, dir: dir}
	defer l.sockets.close()
	if err := l.sockets.open(o.Address); err != nil {
		return err
	}
	l.observer.Listening("", l.sockets.address())
	return errors.Join(l.run(ctx, w), l.end())
}
