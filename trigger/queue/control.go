package queue

import (
	"context"
	"errors"

	"github.com/myelin-run/myelin/trigger"
)

// Pause implements [trigger.Pauser].
func (e *Engine) Pause() { e.gate.Pause("paused") }

// Resume implements [trigger.Pauser].
func (e *Engine) Resume() { e.gate.Resume() }

// Seek implements [trigger.Seeker], for queues that keep what was read.
func (e *Engine) Seek(ctx context.Context, to string) error {
	if e.policy.Sinks() {
		return errors.New("what is done is noted by a binding (exactlyOnce), and is not done again")
	}
	return e.gate.Seek(ctx, to)
}

// Sinks implements [trigger.Sinking].
func (e *Engine) Sinks() bool { return e.policy.Sinks() }

// Report implements [trigger.Reporter].
func (e *Engine) Report() trigger.Report {
	var r trigger.Report
	e.cond.Into(&r)
	e.counts.Into(&r)
	e.mu.Lock()
	run := e.run
	r.Lag = e.lag
	if e.sess != nil && r.Problem == "" {
		if c, ok := e.sess.Session.(Complainer); ok {
			r.Problem = c.Complaint()
		}
	}
	e.mu.Unlock()
	if run != nil {
		r.InFlight = run.line.inFlight()
	}
	return r
}
