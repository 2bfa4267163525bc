package cron

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/myelin-run/myelin/trigger"
)

const (
	// before is how long before a tick a processor is to be there that does not
	// run yet, after until when it is not to go.
	before = 10 * time.Second
	after  = 2 * time.Second
)

// Watch implements [trigger.Watchable]. What counts from the start of a processor
// has no ticks while there is none.
func (t *Trigger) Watch() (trigger.Waiter, error) {
	if t.cfg.Interval != 0 || strings.Contains(strings.ToLower(t.cfg.Schedule), "@every") {
		return nil, errors.New("an interval counts from the start of a processor, so one stays; a schedule would not need that")
	}
	times, err := t.cfg.times(t.clock.Now())
	if err != nil {
		return nil, err
	}
	return ahead{times}, nil
}

// ahead implements [trigger.Waiter] and [trigger.Soon].
type ahead struct{ times times }

func (ahead) Waiting(context.Context) (int64, error) { return 0, nil }

func (ahead) Close() {}

func (a ahead) Soon(at time.Time) bool {
	next := a.times.Next(at.Add(-after))
	return !next.IsZero() && next.Before(at.Add(before))
}
