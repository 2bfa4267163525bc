package poll

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Config is what the attributes of all polling triggers have.
type Config struct {
	// Interval between two looks at a source that had nothing more. Default 1s.
	Interval quantity.Duration `json:"interval,omitempty"`
	// Jitter is by how much an interval may be longer, at random, so that many
	// triggers do not ask at once. Default: a tenth of the interval.
	Jitter *quantity.Duration `json:"jitter,omitempty"`
	// PageSize is the most that is asked for at once. Default 100.
	PageSize int `json:"pageSize,omitempty"`
	// Assignment says who sees to it that one processor reads at a time: "dealer",
	// or "all", with which each takes the source from the others. Default: the
	// dealer, if the processor knows one.
	Assignment string `json:"assignment,omitempty"`
}

const (
	mostPage      = 10_000
	leastInterval = 10 * time.Millisecond
)

// Defaults is what is assumed where a spec says nothing.
func Defaults() Config {
	return Config{Interval: quantity.Duration(time.Second), PageSize: 100}
}

// Check reports the fields that cannot be kept to.
func (c *Config) Check(es *document.Errors) {
	if c.Interval.Std() < leastInterval {
		es.Add("interval", "is %v, expected at least %v", c.Interval, leastInterval)
	}
	if c.Jitter != nil && *c.Jitter < 0 {
		es.Add("jitter", "is %v, expected 0s or more", *c.Jitter)
	}
	if c.PageSize < 1 || c.PageSize > mostPage {
		es.Add("pageSize", "is %d, expected 1 to %d", c.PageSize, mostPage)
	}
	switch c.Assignment {
	case "", stream.ByDealer, stream.ToOne:
	default:
		es.Add("assignment", "is %q%s, expected %s or %s", c.Assignment, document.DidYouMean(c.Assignment, []string{stream.ByDealer, stream.ToOne}), stream.ByDealer, stream.ToOne)
	}
}

// Pause is how long to wait until the next look.
func (c *Config) Pause() time.Duration {
	d, j := c.Interval.Std(), c.Interval.Std()/10
	if c.Jitter != nil {
		j = c.Jitter.Std()
	}
	if j > 0 {
		d += rand.N(j)
	}
	return d
}

// Wait waits until the next look, for sources that are queues: for a pause, for
// no longer than most if that is above 0, for a change, or for the end of ctx.
func (c *Config) Wait(ctx context.Context, most time.Duration, changed <-chan struct{}) {
	d := c.Pause()
	if most > 0 {
		d = min(d, most)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
	}
}
