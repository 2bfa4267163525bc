// Package rollout drives rollouts: it looks at each that is under way, has the
// pure plan decide what is next, and stores it. All that it knows is in the
// store, and so whoever takes over goes on where the last one was. It does not
// know where figures come from, and moves no requests itself.
package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// Subject is what figures are wanted of.
type Subject struct {
	catalog.Name
	Alias string
	New   int   // the version that comes
	Old   []int // those that go
}

// Counter counts what versions do.
type Counter interface {
	// Mark returns what has been counted until now, for Since.
	Mark(ctx context.Context, s Subject) (json.RawMessage, error)
	// Since returns what was counted after mark. A counter that began anew
	// meanwhile has counted since the mark only.
	Since(ctx context.Context, s Subject, mark json.RawMessage) (plan.RolloutFigures, error)
}

// Options of a driver.
type Options struct {
	Catalog *catalog.Catalog
	Counter Counter
	Log     *slog.Logger
	// Every is how often a rollout is looked at while nothing changes; default
	// 500 ms.
	Every time.Duration
}

const (
	every = 500 * time.Millisecond
	// fresh is how old the figures in a status may be.
	fresh = 2 * time.Second
	// most bounds one look at one rollout, so that what does not answer does
	// not keep the others waiting.
	most = 5 * time.Second
)

// Driver drives rollouts. Its life: New, Run once.
type Driver struct {
	o     Options
	since time.Time         // when it began to look
	under map[key]time.Time // rollouts under way, and when their status was stored
	told  map[key]string    // the last complaint about each
}

type key struct {
	catalog.Name
	alias string
}

// New returns a driver; it does nothing yet.
func New(o Options) *Driver {
	if o.Every <= 0 {
		o.Every = every
	}
	return &Driver{o: o, under: map[key]time.Time{}, told: map[key]string{}}
}

// Run drives all rollouts until ctx is done.
func (d *Driver) Run(ctx context.Context) error {
	d.since = time.Now()
	for ctx.Err() == nil {
		if err := d.follow(ctx); err != nil && ctx.Err() == nil {
			d.o.Log.Warn("follow rollouts", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// follow looks at every rollout once, and then at those that something happened
// to, and at all that are under way now and then.
func (d *Driver) follow(ctx context.Context) error {
	all, rev, err := d.o.Catalog.Rollouts(ctx, catalog.Name{})
	if err != nil {
		return err
	}
	clear(d.under)
	for _, r := range all {
		if !r.Status.State.Ended() {
			d.look(ctx, key{catalog.Name{Namespace: r.Metadata.Namespace, Name: r.Spec.Function}, r.Metadata.Name})
		}
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := d.o.Catalog.Watch(wctx, rev)
	tick := time.NewTicker(d.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c, ok := <-changes:
			if !ok {
				return nil
			}
			d.changed(ctx, c)
		case <-tick.C:
			for k := range d.under {
				d.look(ctx, k)
			}
		}
	}
}

// changed looks at the rollout that a change is about. What this driver wrote
// itself is among them, and says when an alias leads where it was moved.
func (d *Driver) changed(ctx context.Context, c catalog.Change) {
	k := key{c.Name, c.Alias}
	switch c.Kind {
	case catalog.RolloutSpec:
		d.look(ctx, k)
	case catalog.AliasSpec, catalog.AliasStatus:
		if _, ok := d.under[k]; ok {
			d.look(ctx, k)
		}
	}
}

// look decides what is next of a rollout.
func (d *Driver) look(ctx context.Context, k key) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err := d.o.Catalog.FollowRollout(ctx, k.Name, k.alias, catalog.Author{}, func(f catalog.Following) (plan.RolloutNext, json.RawMessage, bool, error) {
		next, mark, save, err := d.decide(ctx, k, f)
		if err == nil && next.Status.State.Ended() {
			delete(d.under, k)
		} else if last, ok := d.under[k]; !ok || save {
			d.under[k] = last
			if save {
				d.under[k] = time.Now()
			}
		}
		return next, mark, save, err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		delete(d.under, k)
	case err != nil && ctx.Err() == nil && d.told[k] != err.Error():
		d.told[k] = err.Error()
		d.o.Log.Warn("look at rollout", "function", k.String(), "alias", k.alias, "error", err)
	case err == nil:
		delete(d.told, k)
	}
}

// decide asks the plan, with the figures that it needs.
func (d *Driver) decide(ctx context.Context, k key, f catalog.Following) (next plan.RolloutNext, mark json.RawMessage, save bool, err error) {
	spec, st := f.Rollout.Spec, f.Rollout.Status
	see := plan.Seen{Now: time.Now().UTC().Round(time.Millisecond), Since: d.since, Alias: f.Alias, Effective: f.Effective()}
	about := subject(k, spec, st)
	if !st.Began.IsZero() && see.Effective && !st.State.Ended() {
		if got, err := d.o.Counter.Since(ctx, about, f.Mark); err != nil {
			see.Blind = err.Error()
		} else {
			see.Figures = &got
		}
	}
	next, mark = plan.Rollout(spec, st, see), f.Mark
	if next.Mark {
		// What comes between the two is not counted, as it would be twice.
		if mark, err = d.o.Counter.Mark(ctx, about); err != nil {
			return next, nil, false, err
		}
	}
	stale := !same(next.Status, st) && time.Since(d.under[k]) > fresh
	return next, mark, next.News || next.Move != nil || stale, nil
}

func subject(k key, spec function.RolloutSpec, st function.RolloutStatus) Subject {
	v, _ := function.ParseVersion(spec.Version) // it was checked when it was stored
	return Subject{Name: k.Name, Alias: k.alias, New: v, Old: plan.Replaced(st.From, spec.Version)}
}

// same tells whether nothing that a person would see differs.
func same(a, b function.RolloutStatus) bool {
	return a.State == b.State && a.Message == b.Message && a.New == b.New && a.Old == b.Old
}
