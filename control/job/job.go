// Package job runs the items of jobs: for each job that has not ended it takes
// the lease, has the pure deck deal its items, calls the function, and puts what
// became of them on record. All that it knows is in the store, and so whoever
// takes over goes on where the last one was. It does not know how a function is
// reached, nor where items came from.
package job

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// Run is one run of one item.
type Run struct {
	Of   catalog.Name // the function
	Job  string
	Spec function.JobSpec
	plan.JobTask
}

// Caller runs a function.
type Caller interface {
	// Call runs the function on an item and says what became of it. ctx ends
	// when it has taken too long, or when nobody waits any more.
	Call(ctx context.Context, r Run) plan.JobOutcome
}

// Options of a driver.
type Options struct {
	Catalog *catalog.Catalog
	Caller  Caller
	Log     *slog.Logger
	// Every is how often what became of items is stored; default 250 ms.
	Every time.Duration
	// Grace is how long what runs is waited for when a job is cancelled or the
	// driver ends; default 10 s.
	Grace time.Duration
}

const (
	every = 250 * time.Millisecond
	grace = 10 * time.Second
	// pause is before another attempt after the store failed.
	pause = time.Second
)

// Driver drives all jobs. Its life: New, Run once.
type Driver struct {
	o     Options
	ended chan key
	wait  sync.WaitGroup
	// runners are those that run, by what they run. One that has lost its job
	// to another driver stays, so that it is not taken back.
	runners map[key]*runner
}

type key struct {
	catalog.Name
	job string
}

// New returns a driver; it does nothing yet.
func New(o Options) *Driver {
	if o.Every <= 0 {
		o.Every = every
	}
	if o.Grace <= 0 {
		o.Grace = grace
	}
	return &Driver{o: o, ended: make(chan key), runners: map[key]*runner{}}
}

// Run drives all jobs until ctx is done. Then it waits for what runs, within the
// grace, and stores what became of it.
func (d *Driver) Run(ctx context.Context) error {
	defer d.wait.Wait()
	for ctx.Err() == nil {
		if err := d.follow(ctx); err != nil && ctx.Err() == nil {
			d.o.Log.Warn("follow jobs", "error", err)
			rest(ctx, pause)
		}
	}
	return nil
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// follow looks at every job, and then at those that something happened to.
func (d *Driver) follow(ctx context.Context) error {
	all, rev, err := d.o.Catalog.Jobs(ctx, catalog.Name{})
	if err != nil {
		return err
	}
	for _, j := range all {
		d.look(ctx, key{catalog.Name{Namespace: j.Metadata.Namespace, Name: j.Spec.Function}, j.Metadata.Name}, j)
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := d.o.Catalog.WatchKeys(wctx, rev, catalog.JobKeys, catalog.JobStatusKeys)
	for {
		select {
		case <-ctx.Done():
			return nil
		case k := <-d.ended:
			delete(d.runners, k)
			err = d.changed(ctx, k)
		case c, ok := <-changes:
			if !ok {
				return nil
			}
			of, name, _ := strings.Cut(c.Name, "/")
			err = d.changed(ctx, key{catalog.Name{Namespace: c.Namespace, Name: of}, name})
		}
		if err != nil {
			return err
		}
	}
}

// changed tells a job's runner that it has changed, or starts one.
func (d *Driver) changed(ctx context.Context, k key) error {
	if r := d.runners[k]; r != nil {
		r.nudge()
		return nil
	}
	j, err := d.o.Catalog.Job(ctx, k.Name, k.job)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err == nil {
		d.look(ctx, k, j)
	}
	return err
}

func (d *Driver) look(ctx context.Context, k key, j function.Job) {
	if j.Status.State.Ended() || d.runners[k] != nil {
		return
	}
	r := newRunner(d.o, k)
	d.runners[k] = r
	d.wait.Go(func() { d.drive(ctx, k, r) })
}

// drive runs a job to its end, again where the store failed.
func (d *Driver) drive(ctx context.Context, k key, r *runner) {
	for ctx.Err() == nil {
		err := r.run(ctx)
		switch {
		case errors.Is(err, catalog.ErrJobLost):
			d.o.Log.Warn("a job was taken by another control plane", "function", k.String(), "job", k.job)
			return
		case err == nil || errors.Is(err, store.ErrNotFound):
			select {
			case d.ended <- k:
			case <-ctx.Done():
			}
			return
		}
		if ctx.Err() == nil {
			d.o.Log.Warn("run job", "function", k.String(), "job", k.job, "error", err)
			rest(ctx, pause)
		}
	}
}
