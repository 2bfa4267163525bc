// Package component is the one way in which a trigger, runtime, binding,
// builder or platform is described, configured and found: a Factory in a Set.
// It knows no component and keeps no registry: sets are made in main.
package component

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/myelin-run/myelin/document"
)

// Validator is implemented by configurations that can be wrong in a way their
// types do not show. Defaults are applied before it is called.
type Validator interface{ Validate() error }

// Factory builds components of type T from settings of type S, which the host
// gives, and a configuration, which the user gives. Make one with [Define].
type Factory[T, S any] struct {
	Kind string // as written in a spec: "http", "kafka"
	Doc  string // one sentence
	also []string
	make func(S, json.RawMessage) (T, error)
	zero func() any
}

// Define ties a kind to its typed configuration and constructor. The
// constructor opens and starts nothing.
func Define[T, S, C any](kind, doc string, defaults func() C, build func(S, C) (T, error)) Factory[T, S] {
	return Factory[T, S]{
		Kind: kind,
		Doc:  doc,
		zero: func() any { return defaults() },
		make: func(s S, raw json.RawMessage) (t T, err error) {
			cfg := defaults()
			if err := decode(raw, &cfg); err != nil {
				return t, err
			}
			return build(s, cfg)
		},
	}
}

func decode(raw json.RawMessage, cfg any) error {
	if len(raw) > 0 {
		if err := document.DecodeJSON(raw, cfg); err != nil {
			return err
		}
	}
	if v, ok := cfg.(Validator); ok {
		return v.Validate()
	}
	return nil
}

// New decodes and checks raw (JSON; nil for none) over the defaults and builds
// the component. Errors about a field are [document.Errors], whose paths are
// relative to the configuration.
func (f Factory[T, S]) New(s S, raw json.RawMessage) (T, error) { return f.make(s, raw) }

// Alias returns f, to be found under other names too: those that specs of
// Nuclio use.
func (f Factory[T, S]) Alias(kinds ...string) Factory[T, S] {
	f.also = append(f.also[:len(f.also):len(f.also)], kinds...)
	return f
}

// Defaults returns the default configuration, from which docs are generated.
func (f Factory[T, S]) Defaults() any { return f.zero() }

// Set finds factories by kind.
type Set[T, S any] struct{ kinds map[string]Factory[T, S] }

// NewSet panics on a kind given twice: that is a mistake in main.
func NewSet[T, S any](fs ...Factory[T, S]) *Set[T, S] {
	s := &Set[T, S]{make(map[string]Factory[T, S], len(fs))}
	for _, f := range fs {
		for _, kind := range append([]string{f.Kind}, f.also...) {
			if _, dup := s.kinds[kind]; dup {
				panic("component: kind defined twice: " + kind)
			}
			s.kinds[kind] = f
		}
	}
	return s
}

// Kinds returns the known kinds, aliases included, in order.
func (s *Set[T, S]) Kinds() []string { return slices.Sorted(maps.Keys(s.kinds)) }

// Lookup returns the factory for kind, or for the kind that it is an alias of.
func (s *Set[T, S]) Lookup(kind string) (Factory[T, S], error) {
	f, ok := s.kinds[kind]
	if !ok {
		return f, fmt.Errorf("unknown kind %q%s (known: %v)", kind, document.DidYouMean(kind, s.Kinds()), s.Kinds())
	}
	return f, nil
}
