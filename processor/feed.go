package processor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// feed is a trigger with the pool it feeds. The trigger is made anew whenever
// its share of the source changes, since one that was stopped does not run
// again; what it counted goes on.
type feed struct {
	name  string
	spec  function.Trigger
	pool  *pool
	log   *slog.Logger
	build func(function.Trigger, function.Share) (trigger.Trigger, error)

	mu      sync.Mutex
	want    function.Share
	trig    trigger.Trigger // that runs, ran last, or is to run first
	made    function.Share  // what trig was made for
	running bool
	fresh   bool           // trig has not run
	paused  bool           // of the spec, or as it was told since
	past    trigger.Report // counts of those before trig
	until   time.Time      // of a trigger.Successor that has ended
	changed chan struct{}  // closed and replaced when any of this changed
}

func newFeed(name string, t function.Trigger, workers *pool, log *slog.Logger, share function.Share, build func(function.Trigger, function.Share) (trigger.Trigger, error)) *feed {
	return &feed{name: name, spec: t, pool: workers, log: log, build: build, want: share, paused: t.Paused, changed: make(chan struct{})}
}

// make makes the trigger for the share that is wanted.
func (f *feed) make() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	spec := f.spec
	spec.Paused = f.paused
	t, err := f.build(spec, f.want)
	if err != nil {
		return err
	}
	if r, ok := f.trig.(trigger.Reporter); ok {
		f.past.Add(r.Report())
	}
	f.trig, f.made, f.fresh = t, f.want, true
	return nil
}

// trigger returns the one that runs, or ran last, or is to run first.
func (f *feed) trigger() trigger.Trigger {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trig
}

func (f *feed) share() function.Share {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.want
}

// now returns the share that is wanted, and what is closed when something has
// changed since.
func (f *feed) now() (function.Share, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.want, f.changed
}

// alter changes the feed and tells who waits for it.
func (f *feed) alter(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// setShare says how much is wanted. The same again is no change, whatever it
// says of when to begin.
func (f *feed) setShare(s function.Share) {
	if f.share().Part != s.Part {
		f.alter(func() { f.want = s })
	}
}

// keepPaused remembers for the triggers to come how this one was steered.
func (f *feed) keepPaused(on bool) { f.alter(func() { f.paused = on }) }

// tend keeps the trigger running as its share says until ctx is done. A share
// that changes has it stop in an orderly way, and a new one begin with what is
// wanted then.
func (f *feed) tend(ctx context.Context, h trigger.Handler) error {
	for ctx.Err() == nil {
		want, changed := f.now()
		if want.Part == 0 {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		if err := f.once(ctx, h); err != nil {
			return fmt.Errorf("trigger %s: %w", f.name, err)
		}
	}
	return nil
}

var errByItself = errors.New("it ended by itself")

// once runs a trigger until its share changes or ctx is done.
func (f *feed) once(ctx context.Context, h trigger.Handler) error {
	if !f.isFor(f.share()) {
		if err := f.make(); err != nil {
			return err
		}
	}
	run, stop := context.WithCancel(ctx)
	defer stop()
	var trig trigger.Trigger
	f.alter(func() { trig, f.running, f.fresh = f.trig, true, false })
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		f.stopAtChange(run, stop)
	}()
	err := trig.Run(run, h)
	stopped := run.Err() != nil
	stop()
	<-watched
	f.alter(func() {
		f.running = false
		if t, ok := trig.(trigger.Successor); ok {
			f.until = t.Until()
		}
	})
	switch {
	case stopped && ctx.Err() == nil && err != nil: // the next one says if anything is wrong with the source
		f.log.Warn("stop trigger", "error", err)
		return nil
	case !stopped && err == nil:
		return errByItself
	}
	return err
}

// isFor reports whether the trigger that there is can run with a share.
func (f *feed) isFor(s function.Share) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fresh && f.made == s
}

// stopAtChange stops a run when another share is wanted than it has.
func (f *feed) stopAtChange(run context.Context, stop func()) {
	for {
		want, changed := f.now()
		if !f.has(want) {
			stop()
			return
		}
		select {
		case <-changed:
		case <-run.Done():
			return
		}
	}
}

func (f *feed) has(s function.Share) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.made == s
}

// settled returns when the trigger does what its share says: it has ended, or
// one with this share is ready.
func (f *feed) settled(ctx context.Context) error {
	for {
		f.mu.Lock()
		want, made, running, trig, changed := f.want, f.made, f.running, f.trig, f.changed
		f.mu.Unlock()
		var ready <-chan struct{}
		switch {
		case want.Part == 0 && !running:
			return nil
		case want.Part > 0 && running && want == made:
			t, ok := trig.(trigger.Readier)
			if !ok {
				return nil
			}
			ready = t.Ready()
		}
		select {
		case <-ready:
			return nil
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// report says how the trigger is; nil if its kind has nothing to report.
func (f *feed) report() *trigger.Report {
	f.mu.Lock()
	want, made, running, fresh, past := f.want, f.made, f.running, f.fresh, f.past
	t, ok := f.trig.(trigger.Reporter)
	f.mu.Unlock()
	if !ok {
		return nil
	}
	r := t.Report()
	r.Add(past)
	switch {
	case running && want != made:
		r.State, r.Problem = trigger.Draining, ""
	case !running && want.Part == 0:
		r.State, r.Problem, r.Lag = trigger.Stopped, "", -1
		if fresh {
			r.Since = time.Time{}
		}
	}
	return &r
}
