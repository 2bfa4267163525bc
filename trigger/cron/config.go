package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/myelin-run/myelin/quantity"
)

// Config is the trigger's attributes. Exactly one of Schedule and Interval is
// set.
type Config struct {
	// Schedule in cron's five fields, in six with seconds first, or as @hourly,
	// @daily, @weekly, @monthly, @yearly or "@every 1h30m". "TZ=" or "CRON_TZ="
	// and a time zone may stand before it.
	Schedule string `json:"schedule,omitempty"`
	// Interval between two ticks, counted from the start; at least 1ms.
	Interval quantity.Duration `json:"interval,omitempty"`
	// Timezone of Schedule by its IANA name, default UTC.
	Timezone string `json:"timezone,omitempty"`
	// Missed says what becomes of ticks that could not run in time, because
	// the machine slept or the run before still went on: "one" (default) run
	// for all of them, "skip" them, or run "all", at most the last 100.
	Missed string `json:"missed,omitempty"`
	// ConcurrencyPolicy while a run goes on at the next tick: "Forbid"
	// (default) makes that tick a missed one, "Allow" runs it as well.
	ConcurrencyPolicy string `json:"concurrencyPolicy,omitempty"`
	// JobBackoffLimit is how often a failed run is tried again, default 0. No
	// attempt begins after the next tick is due.
	JobBackoffLimit int `json:"jobBackoffLimit,omitempty"`
	// Jitter delays each run by a random time below it, default 0. The event's
	// time is the tick's all the same.
	Jitter quantity.Duration `json:"jitter,omitempty"`
	Event  Event             `json:"event,omitzero"`
}

// Event is what each tick hands to the function.
type Event struct {
	Body    string         `json:"body,omitempty"`
	Path    string         `json:"path,omitempty"`
	Method  string         `json:"method,omitempty"`
	Headers map[string]any `json:"headers,omitempty"` // strings, numbers or booleans
}

func defaults() Config {
	return Config{Missed: "one", ConcurrencyPolicy: "Forbid"}
}

// Validate reports the first field that cannot be kept to.
func (c *Config) Validate() error {
	switch {
	case c.Schedule == "" && c.Interval == 0:
		return errors.New("schedule or interval: one of them is needed")
	case c.Schedule != "" && c.Interval != 0:
		return errors.New("schedule and interval: only one of them may be set")
	case c.Interval != 0 && c.Interval.Std() < time.Millisecond:
		return fmt.Errorf("interval: %v is less than 1ms", c.Interval)
	case c.Missed != "one" && c.Missed != "skip" && c.Missed != "all":
		return fmt.Errorf("missed: %q is none of \"one\", \"skip\", \"all\"", c.Missed)
	case !strings.EqualFold(c.ConcurrencyPolicy, "Forbid") && !strings.EqualFold(c.ConcurrencyPolicy, "Allow"):
		return fmt.Errorf("concurrencyPolicy: %q is neither \"Forbid\" nor \"Allow\"", c.ConcurrencyPolicy)
	case c.JobBackoffLimit < 0:
		return fmt.Errorf("jobBackoffLimit: %d is negative", c.JobBackoffLimit)
	case c.Jitter < 0:
		return fmt.Errorf("jitter: %v is negative", c.Jitter)
	}
	for k, v := range c.Event.Headers {
		switch v.(type) {
		case string, bool, float64:
		default:
			return fmt.Errorf("event.headers.%s: neither a string, a number nor a boolean", k)
		}
	}
	_, err := c.times(time.Now())
	return err
}

// times is when to run. An interval counts from start.
func (c *Config) times(start time.Time) (times, error) {
	if c.Interval != 0 {
		if c.Timezone != "" {
			return nil, errors.New("timezone: an interval has none")
		}
		return every{start, c.Interval.Std()}, nil
	}
	t, err := parse(c.Schedule, c.Timezone)
	if err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	if t.Next(start).IsZero() {
		return nil, fmt.Errorf("schedule: %q never comes", c.Schedule)
	}
	return t, nil
}
