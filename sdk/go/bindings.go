package myelin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
)

// What data bindings are made of; see the package data.
type (
	KV     = data.KV
	Object = data.Object
	Table  = data.Table
	Tx     = data.Tx
	Stream = data.Stream
	State  = data.State
)

// Why a call of a binding failed: errors.Is(err, myelin.ErrNotFound).
const (
	ErrNotFound = data.NotFound
	ErrConflict = data.Conflict
	ErrAway     = data.Away
)

// Bindings are the connections that spec.dataBindings declares, by name. They
// may be used from any goroutine and kept. A name that the spec does not have, or
// has with another class, gives a binding whose calls fail.
type Bindings struct{ handles map[string]any }

// NewBindings makes them of handles, such as *KV; the host does, and tests may.
func NewBindings(handles map[string]any) *Bindings { return &Bindings{handles} }

// Names are those of all bindings.
func (b *Bindings) Names() []string {
	if b == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(b.handles))
}

// Any returns the binding of a name, a *KV, *Object, *Table or *Stream, or nil.
func (b *Bindings) Any(name string) any {
	if b == nil {
		return nil
	}
	return b.handles[name]
}

// KV returns the binding of class kv that is called name.
func (b *Bindings) KV(name string) *KV {
	if kv, ok := b.Any(name).(*KV); ok {
		return kv
	}
	return data.LostKV(b.lost(name, "kv"))
}

// Object returns the binding of class object, or file, that is called name.
func (b *Bindings) Object(name string) *Object {
	switch o := b.Any(name).(type) {
	case *Object:
		return o
	case *data.Files:
		return o.Object
	}
	return data.LostObject(b.lost(name, "object"))
}

// Table returns the binding of class table that is called name.
func (b *Bindings) Table(name string) *Table {
	if t, ok := b.Any(name).(*Table); ok {
		return t
	}
	return data.LostTable(b.lost(name, "table"))
}

// Stream returns the binding of class stream that is called name.
func (b *Bindings) Stream(name string) *Stream {
	if s, ok := b.Any(name).(*Stream); ok {
		return s
	}
	return data.LostStream(b.lost(name, "stream"))
}

func (b *Bindings) lost(name, class string) error {
	if b.Any(name) != nil {
		return data.Errorf(data.Misuse, "binding %s is not of class %s", name, class)
	}
	have := "it has none"
	if names := b.Names(); len(names) > 0 {
		have = "it has " + strings.Join(names, ", ")
	}
	return data.As(data.NotFound, fmt.Errorf("the function has no binding %q: %s", name, have))
}
