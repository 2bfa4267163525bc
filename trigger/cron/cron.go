// Package cron is the trigger that makes an event at each tick of a schedule.
// It stands beside the poll engine rather than on it: what it waits for is the
// next tick, not an interval, and it has no cursor, since ticks of the time in
// which it did not run are not made up for. It knows no worker and no runtime.
package cron

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Kind is the trigger's name in a spec.
const Kind = "cron"

// Factory makes cron triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on a schedule.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	return &Trigger{
		cfg:   cfg,
		log:   s.Log,
		model: model(s.Name, cfg.Event),
		clock: system{},
		ready: make(chan struct{}),
		from:  s.Share.From,
		allow: strings.EqualFold(cfg.ConcurrencyPolicy, "Allow"),
	}, nil
}

// Trigger makes an event at each tick. It implements [trigger.Trigger],
// [trigger.Readier] and [trigger.Successor].
type Trigger struct {
	cfg   Config
	log   *slog.Logger
	model event.Event // each event is a copy of it
	clock clock
	allow bool // runs may overlap
	ready chan struct{}
	from  time.Time // ticks up to then were another's; zero: up to the start

	mu    sync.Mutex
	until time.Time // ticks up to then are this one's
	left  time.Time // the earliest tick that was not run after all; zero: none
}

// Ready is closed when Run has begun to count: no later tick is left out.
func (t *Trigger) Ready() <-chan struct{} { return t.ready }

// Until implements [trigger.Successor].
func (t *Trigger) Until() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left.IsZero() {
		return t.until
	}
	// The tick before, so that an interval goes on in step.
	return t.left.Add(-max(t.cfg.Interval.Std(), time.Second))
}

func (t *Trigger) took(tick time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = tick
}

func (t *Trigger) leaves(tick time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left.IsZero() || tick.Before(t.left) {
		t.left = tick
	}
}

// clock is the wall clock, which may be set and may stand still while the
// machine sleeps.
type clock interface {
	Now() time.Time
	// Wait returns after d, or once ctx is done.
	Wait(ctx context.Context, d time.Duration)
}

type system struct{}

// Now has no monotonic part: that of Linux stands still in a suspended machine.
func (system) Now() time.Time { return time.Now().Round(0) }

func (system) Wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func model(name string, e Event) event.Event {
	headers := event.Pairs{}
	for k, v := range e.Headers {
		headers = append(headers, event.Pair{Key: k, Value: fmt.Append(nil, v)})
	}
	slices.SortFunc(headers, func(a, b event.Pair) int { return strings.Compare(a.Key, b.Key) })
	headers = append(headers, event.Pair{Key: "X-Nuclio-Invoke-Trigger", Value: []byte(Kind)})
	path := e.Path
	if path == "" {
		path = "/"
	}
	return event.Event{
		Source:      &event.Source{Kind: Kind, Class: string(trigger.Poll), Name: name},
		Method:      []byte(e.Method),
		Path:        []byte(path),
		URL:         []byte(path),
		ContentType: headers.Get("Content-Type"),
		Body:        []byte(e.Body),
		Headers:     headers,
	}
}
