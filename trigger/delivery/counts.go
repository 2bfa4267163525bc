package delivery

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/trigger"
)

// Counts are the numbers of an engine that any goroutine adds to.
type Counts struct {
	Done, Retried, Skipped, Dead, Dropped, Again, Reconnects atomic.Uint64
}

// Into copies the numbers to a report.
func (c *Counts) Into(r *trigger.Report) {
	r.Done, r.Retried, r.Skipped = c.Done.Load(), c.Retried.Load(), c.Skipped.Load()
	r.Dead, r.Dropped, r.Again, r.Reconnects = c.Dead.Load(), c.Dropped.Load(), c.Again.Load(), c.Reconnects.Load()
}

// Condition is what an engine is doing and why.
type Condition struct {
	mu      sync.Mutex
	state   trigger.State
	problem string
	since   time.Time
}

// Set changes the condition.
func (c *Condition) Set(s trigger.State, problem string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != s || c.since.IsZero() {
		c.since = time.Now()
	}
	c.state, c.problem = s, problem
}

// Into copies the condition to a report.
func (c *Condition) Into(r *trigger.Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.State, r.Problem, r.Since = c.state, c.problem, c.since
}
