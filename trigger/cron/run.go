package cron

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

const (
	// glance is how long the trigger waits without looking at the wall clock.
	glance = 10 * time.Second
	// grace is by how much a tick may be late without being a missed one.
	grace = 15 * time.Second
	// maxMissed bounds the missed ticks that are kept.
	maxMissed = 100
)

// Run makes events until ctx is done, and returns when the last is settled.
// Ticks that were due between those of a predecessor and now are like ticks
// that were missed.
func (t *Trigger) Run(ctx context.Context, h trigger.Handler) error {
	last := t.clock.Now()
	if !t.from.IsZero() && t.from.Before(last) {
		last = t.from
	}
	t.took(last)
	ticks, err := t.cfg.times(last)
	if err != nil {
		return err
	}
	close(t.ready)
	r := &run{Trigger: t, ticks: ticks, h: h, base: context.WithoutCancel(ctx)}
	defer r.wg.Wait()
	for {
		due := r.await(ctx, last)
		if ctx.Err() != nil || len(due) == 0 {
			return nil
		}
		last = due[len(due)-1]
		r.took(last)
		for _, tick := range r.choose(due) {
			if ctx.Err() != nil {
				r.leaves(tick)
				return nil
			}
			r.fire(ctx, tick)
		}
	}
}

// run is one Run of a trigger.
type run struct {
	*Trigger
	ticks times
	h     trigger.Handler
	base  context.Context // of events: not done by a drain
	wg    sync.WaitGroup  // runs that overlap
}

// await waits for the tick after last and returns those that are due, see
// latest; none once ctx is done. A clock set back by more than
// an hour starts anew; by less, it waits until it shows the next tick again.
func (r *run) await(ctx context.Context, last time.Time) (due []time.Time) {
	for ctx.Err() == nil {
		now := r.clock.Now()
		if now.Before(last.Add(-time.Hour)) {
			last = now
		}
		next := r.ticks.Next(last)
		if next.IsZero() {
			<-ctx.Done()
			return nil
		}
		if !next.After(now) {
			return latest(r.ticks, last, now)
		}
		r.clock.Wait(ctx, min(next.Sub(now), glance))
	}
	return nil
}

// latest returns the ticks after last and up to now; the last of them only, and
// maxMissed at least, if there are more. It looks back in growing steps: after
// a long sleep, a count from the beginning would take long itself.
func latest(ticks times, last, now time.Time) (due []time.Time) {
	for back := 100 * time.Millisecond; ; back *= 4 {
		from := now.Add(-back)
		if !from.After(last) {
			from = last
		}
		due = due[:0]
		for next := ticks.Next(from); !next.IsZero() && !next.After(now); next = ticks.Next(next) {
			due = append(due, next)
		}
		if from.Equal(last) || len(due) > maxMissed {
			return due
		}
	}
}

// choose applies the policy for missed ticks.
func (r *run) choose(due []time.Time) []time.Time {
	newest := due[len(due)-1]
	switch late := r.clock.Now().Sub(newest) > grace; {
	case r.cfg.Missed == "all":
		if n := len(due) - maxMissed; n > 0 {
			r.log.Warn("too many missed ticks, the oldest are left out", "kept", maxMissed)
			due = due[n:]
		}
		return due
	case r.cfg.Missed == "skip" && late:
		r.log.Info("missed ticks skipped", "ticks", len(due), "last", newest)
		return nil
	}
	return due[len(due)-1:]
}

// fire runs one tick: here, or beside others where runs may overlap.
func (r *run) fire(ctx context.Context, tick time.Time) {
	if !r.allow {
		r.attempt(ctx, tick)
		return
	}
	r.wg.Go(func() { r.attempt(ctx, tick) })
}

// attempt runs the function until it is done, the attempts are used up or the
// next tick is due.
func (r *run) attempt(ctx context.Context, tick time.Time) {
	if r.cfg.Jitter > 0 {
		r.clock.Wait(ctx, rand.N(r.cfg.Jitter.Std()))
		if ctx.Err() != nil {
			r.leaves(tick)
			return
		}
	}
	id := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	log := r.log.With("id", id, "tick", tick)
	until := r.ticks.Next(tick)
	pause := 100 * time.Millisecond
	for fails := 0; ; pause = min(2*pause, glance) {
		err := r.handle(tick, id)
		switch {
		case err == nil, errors.Is(err, event.ErrLater):
			return
		case errors.Is(err, event.ErrBusy), errors.Is(err, event.ErrNotRun): // it did not run
		case event.IsPermanent(err), errors.Is(err, event.ErrStopping), fails >= r.cfg.JobBackoffLimit:
			log.Error("run failed", "error", err, "attempts", fails+1)
			return
		default:
			log.Warn("run failed, trying again", "error", err)
			fails++
		}
		if !r.pause(ctx, pause, until) {
			if ctx.Err() != nil && fails == 0 { // it has not run
				r.leaves(tick)
			}
			log.Error("run given up", "error", err)
			return
		}
	}
}

// pause waits for d, and reports whether there is time for another attempt:
// neither has ctx ended nor is the next tick due at until.
func (r *run) pause(ctx context.Context, d time.Duration, until time.Time) bool {
	if !until.IsZero() {
		d = min(d, until.Sub(r.clock.Now()))
	}
	if d > 0 && ctx.Err() == nil {
		r.clock.Wait(ctx, d)
	}
	return ctx.Err() == nil && (until.IsZero() || r.clock.Now().Before(until))
}

// handle gives the function an event of its own: it may write on what it is
// lent, and an abandoned one keeps it. A panic is that event's failure.
func (r *run) handle(tick time.Time, id string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v", p)
		}
	}()
	ev := r.model.Clone()
	ev.ID, ev.Time = []byte(id), tick
	var resp event.Response
	err = r.h.Handle(r.base, ev, &resp)
	if !event.Abandoned(err) && resp.Stream != nil {
		_ = resp.Stream.Close() // nobody will read it
	}
	return err
}
