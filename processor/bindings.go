package processor

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/host"
	"github.com/myelin-run/myelin/binding/prefetch"
	"github.com/myelin-run/myelin/binding/remote"
	"github.com/myelin-run/myelin/runtime"
)

// bindingsTime is how long the services of the function's bindings have to be
// there at the start: a function without its data is not ready.
const bindingsTime = 60 * time.Second

// buildBindings makes the data bindings of the spec, and opens none.
func (p *Processor) buildBindings() (err error) {
	f := p.cfg.Function
	p.bindings, err = host.New(p.parts.Bindings, f.Spec.DataBindings, binding.Settings{
		Dir: p.cfg.Bindings.Dir, Log: p.log, Namespace: f.Metadata.Namespace, Function: f.Metadata.Name,
	}, p.meters.called)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if p.state, err = p.buildState(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if p.plan, err = prefetch.New(f.Spec.DataBindings, p.bindings.Handles()); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	p.remote = remote.New(p.bindings.Handles()).WithState(p.state).WithMarks(p.bindings.Changes())
	return nil
}

// openBindings waits until all services are there.
func (p *Processor) openBindings(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bindingsTime)
	defer cancel()
	return p.bindings.Open(ctx)
}

// closeBindings follows the workers, which use them.
func (p *Processor) closeBindings() error {
	p.remote.Close()
	return p.bindings.Close()
}

// bindingsAway says which bindings could not be opened yet.
func (p *Processor) bindingsAway() (why []string) {
	for _, r := range p.bindings.Reports() {
		if r.State == host.Connecting && r.Problem != "" {
			why = append(why, fmt.Sprintf("binding %s is connecting: %s", r.Name, r.Problem))
		}
	}
	return why
}

// bindingNames are what workers in other processes are told.
func (p *Processor) bindingNames() (all []runtime.Binding) {
	for _, r := range p.bindings.Reports() {
		class := r.Class
		if class == "file" { // of which a worker has the calls of objects
			class = "object"
		}
		all = append(all, runtime.Binding{Name: r.Name, Class: class})
	}
	if p.state != nil {
		all = append(all, runtime.Binding{Name: "state", Class: "state"})
	}
	return all
}

// called counts a call of a binding.
func (m *meters) called(c host.Call) {
	outcome := "ok"
	switch r := data.ReasonOf(c.Err); {
	case r == data.NotFound:
		outcome = "missing"
	case r == data.Conflict:
		outcome = "conflict"
	case r == data.Away:
		outcome = "away"
	case r == data.Timeout:
		outcome = "timeout"
	case r == data.Busy:
		outcome = "busy"
	case c.Err != nil:
		outcome = "error"
	}
	m.boundTo(c, outcome).Observe(c.Took.Seconds())
}

// boundKey is what the histograms of bindings differ in: a binding has one kind.
type boundKey struct{ binding, operation, outcome string }

// boundTo finds the histogram of a call. To find one by its labels costs as much as
// a share of the call: those that there are, are kept in a map that is copied for
// each new one.
func (m *meters) boundTo(c host.Call, outcome string) prometheus.Observer {
	key := boundKey{c.Binding, c.Operation, outcome}
	had := m.bounds.Load()
	if had != nil && (*had)[key] != nil {
		return (*had)[key]
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[boundKey]prometheus.Observer{}
	if had = m.bounds.Load(); had != nil {
		maps.Copy(all, *had)
	}
	all[key] = m.bound.WithLabelValues(c.Binding, c.Class, c.Kind, c.Operation, outcome)
	m.bounds.Store(&all)
	return all[key]
}
