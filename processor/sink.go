package processor

import (
	"fmt"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/processor/exactly"
	"github.com/myelin-run/myelin/trigger"
)

// sink gives a trigger the table that its spec names under exactlyOnce.
func (p *Processor) sink(s *trigger.Settings) error {
	if err := p.attempts(s); err != nil {
		return err
	}
	x := s.Spec.ExactlyOnce
	if x == nil {
		return nil
	}
	table, kind, err := p.tableOf(x.Binding)
	if err != nil {
		return &trigger.SpecError{Err: document.Errors{{Path: "exactlyOnce.binding", Msg: err.Error()}}}
	}
	sink := exactly.New(table, kind, p.qualified(), s.Name)
	s.Sink, s.Checkpoints = sink, sink
	return nil
}

// buildState makes what the function remembers with.
func (p *Processor) buildState() (*data.State, error) {
	x := p.cfg.Function.Spec.State
	if x == nil {
		return nil, nil //nolint:nilnil // no state is a state
	}
	if t, kind, err := p.tableOf(x.Binding); err == nil {
		return data.NewState(exactly.NewState(t, kind, p.qualified())), nil
	}
	if kv, ok := p.bindings.Handles()[x.Binding].(*data.KV); ok {
		return data.NewState(exactly.NewKeys(kv, p.qualified())), nil
	}
	return nil, document.Errors{{Path: "spec.state.binding", Msg: fmt.Sprintf("%q is no data binding of class table or kv", x.Binding)}}
}

// attempts has a stream tell state that is kept in keys which event runs.
func (p *Processor) attempts(s *trigger.Settings) error {
	x := p.cfg.Function.Spec.State
	if x == nil {
		return nil
	}
	if _, ok := p.bindings.Handles()[x.Binding].(*data.KV); !ok {
		return nil
	}
	if batches(s.Spec) {
		return &trigger.SpecError{Err: document.Errors{{Path: "batch", Msg: "is enabled, and spec.state is kept by a binding of class kv, which notes which event wrote: keep it in a table"}}}
	}
	s.Attempts = true
	return nil
}

// qualified is the function's name with its namespace.
func (p *Processor) qualified() string {
	m := p.cfg.Function.Metadata
	if m.Namespace == "" {
		return m.Name
	}
	return m.Namespace + "/" + m.Name
}

// tableOf finds a binding of class table, and its kind.
func (p *Processor) tableOf(name string) (*data.Table, string, error) {
	var names []string
	for _, r := range p.bindings.Reports() {
		if t, ok := p.bindings.Handles()[r.Name].(*data.Table); ok {
			if r.Name == name {
				return t, r.Kind, nil
			}
			names = append(names, r.Name)
		}
	}
	return nil, "", fmt.Errorf("%q is no data binding of class table (there are: %q)", name, names)
}

// sinks refuses a trigger that would not keep to the sink it was given.
func sinks(t trigger.Trigger, s *trigger.Settings) error {
	if s.Sink == nil {
		return nil
	}
	if x, ok := t.(trigger.Sinking); ok && x.Sinks() {
		return nil
	}
	return &trigger.SpecError{Err: document.Errors{{Path: "exactlyOnce", Msg: fmt.Sprintf("a %s trigger has none", s.Spec.Kind)}}}
}
