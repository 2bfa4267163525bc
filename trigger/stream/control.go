package stream

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Pause implements [trigger.Pauser].
func (e *Engine) Pause() { e.gate.Pause("paused") }

// Resume implements [trigger.Pauser].
func (e *Engine) Resume() { e.gate.Resume() }

// Seek implements [trigger.Seeker].
func (e *Engine) Seek(ctx context.Context, to string) error {
	if e.policy.Sinks() {
		return errors.New("the position is kept by a binding (exactlyOnce): change it there, while the trigger does not run")
	}
	return e.gate.Seek(ctx, to)
}

// Sinks implements [trigger.Sinking].
func (e *Engine) Sinks() bool { return e.policy.Sinks() }

// Position implements [trigger.Positioner].
func (e *Engine) Position(tok event.Token) (p trigger.Position, ok bool) {
	sh := e.shardOf(tok)
	if sh == nil || sh.ctx.Err() != nil && sh.q.gone() {
		return p, false
	}
	return trigger.Position{Topic: sh.lease.Topic, Shard: sh.lease.Shard, Epoch: sh.lease.Epoch, Next: tok.Offset + 1}, true
}

// Report implements [trigger.Reporter].
func (e *Engine) Report() trigger.Report {
	r := trigger.Report{Lag: -1}
	e.cond.Into(&r)
	e.counts.Into(&r)
	e.mu.Lock()
	run, sess := e.run, e.sess
	e.mu.Unlock()
	if c, ok := sess.(Complainer); ok && r.Problem == "" {
		r.Problem = c.Complaint()
	}
	if run == nil {
		return r
	}
	for _, sh := range run.shards.all() {
		s := sh.report()
		r.Shards = append(r.Shards, s)
		r.InFlight += s.InFlight
		if s.Lag >= 0 {
			r.Lag = max(r.Lag, 0) + s.Lag
		}
		if r.Problem == "" && s.Problem != "" {
			r.Problem = s.Problem
		}
	}
	slices.SortFunc(r.Shards, func(a, b trigger.ShardReport) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Shard, b.Shard))
	})
	return r
}
