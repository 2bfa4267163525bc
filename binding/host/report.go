package host

import (
	"context"
	"fmt"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/batch"
	"github.com/myelin-run/myelin/binding/cache"
)

// The states of a binding.
const (
	Connecting = "connecting" // it has not been open yet
	Running    = "running"
	Broken     = "broken" // its service was away at the last call
)

// Report says how a binding is.
type Report struct {
	Name    string `json:"name"`
	Class   string `json:"class"`
	Kind    string `json:"kind"`
	State   string `json:"state"`
	Problem string `json:"problem,omitempty"`
	Calls   uint64 `json:"calls"`
	Failed  uint64 `json:"failed"`
	// Required is what the spec says of it; nil: nothing.
	Required *bool `json:"required,omitempty"`
	// Operations are the calls by operation. Those that a cache answered are not
	// among them.
	Operations []Operation  `json:"operations,omitempty"`
	Cache      *cache.Stats `json:"cache,omitempty"`
	Batch      *batch.Stats `json:"batch,omitempty"`
	// Circuit is the state of the breaker, Opened how often it opened.
	Circuit string `json:"circuit,omitempty"`
	Opened  uint64 `json:"opened,omitempty"`
}

// Reports says how each binding is, by name.
func (h *Host) Reports() []Report {
	out := make([]Report, 0, len(h.bindings))
	for _, b := range h.bindings {
		r := Report{Name: b.name, Class: b.class, Kind: b.kind, State: Running, Calls: b.calls.Load(), Failed: b.failed.Load()}
		b.mu.Lock()
		switch {
		case !b.opened.Load():
			r.State, r.Problem = Connecting, b.problem
		case b.away.Load():
			r.State, r.Problem = Broken, b.problem
		}
		b.mu.Unlock()
		r.Required, r.Operations = b.required, b.tallies.operations()
		b.layers.report(&r)
		out = append(out, r)
	}
	return out
}

// Unready says which bindings that the spec requires cannot be reached now. Those
// that were away at the last call are asked again, each for a second at most.
func (h *Host) Unready(ctx context.Context) (why []string) {
	for _, b := range h.bindings {
		if b.required == nil || !*b.required || !b.opened.Load() || !b.away.Load() {
			continue
		}
		if c, ok := b.binding.(binding.Checker); ok {
			ask, cancel := context.WithTimeout(ctx, time.Second)
			err := c.Check(ask)
			cancel()
			if err == nil {
				b.away.Store(false)
				continue
			}
			b.tell(err.Error())
		}
		b.mu.Lock()
		why = append(why, fmt.Sprintf("binding %s is away: %s", b.name, b.problem))
		b.mu.Unlock()
	}
	return why
}
