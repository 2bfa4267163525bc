// Package binding defines how a service that holds data is reached on behalf of
// a function: opened once per processor, with credentials that the function never
// sees. It holds the contract only: what functions use is package data, each
// driver is a folder below its class, and bindingtest has the suite of each class.
package binding

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// Binding is one connection of a function to a service. It also implements the
// interface of its class: [data.KeyStore], [data.ObjectStore], [data.Database],
// [data.Publisher] or [data.FileStore]. Its life:
//
//  1. A Factory makes it; nothing is opened.
//  2. Open is called, and again after it failed, until it returns nil: the
//     service was reached and let us in. ctx bounds the opening only.
//  3. Calls of the class, from any goroutine. What breaks is connected anew by
//     the driver: while that is not possible, calls fail with [data.Away].
//  4. Close is called once, when no call runs, also if Open never succeeded.
type Binding interface {
	Open(ctx context.Context) error
	Close() error
}

// Checker is implemented by bindings that can be asked whether they reach their
// service now.
type Checker interface {
	Check(ctx context.Context) error
}

// Settings is what the host gives every binding that it builds.
type Settings struct {
	Name string               // its key in the spec
	Spec function.DataBinding // the fields that all kinds share
	// Dir is where relative paths of bindings that keep files begin. It is made
	// when it is needed, and all processors of the function on a machine share it.
	Dir       string
	Log       *slog.Logger // the processor's log
	Namespace string
	Function  string
}

// Path places a path of the spec: a relative one is below Dir and does not lead
// out of it. otherwise is for an empty path.
func (s Settings) Path(path, otherwise string) (string, error) {
	if path == "" {
		path = otherwise
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	if !filepath.IsLocal(path) || path == "." {
		return "", Wrong("path", "%q leads out of the directory of the function's bindings", path)
	}
	if s.Dir == "" {
		return "", Wrong("path", "%q is relative, and there is no directory of bindings: give an absolute one", path)
	}
	return filepath.Join(s.Dir, path), nil
}

// SpecError marks an error of a Factory that is about the fields of Settings.Spec
// rather than about the kind's own attributes.
type SpecError struct{ Err error }

func (e *SpecError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *SpecError) Unwrap() error { return e.Err }

// Wrong says what is wrong with a field of the spec.
func Wrong(field, format string, args ...any) error {
	return &SpecError{document.Errors{{Path: field, Msg: fmt.Sprintf(format, args...)}}}
}

// Limits are the attributes that every kind has. They are part of its
// configuration.
type Limits struct {
	// Timeout of one call, besides the event's own. Default 10s.
	Timeout quantity.Duration `json:"timeout,omitempty"`
	// MaxCalls is how many calls, or connections of a table, are in use at once.
	// Default 64, of a table 10.
	MaxCalls int `json:"maxCalls,omitempty"`
	// MaxWait is how long a call waits until one of them is free. Default 5s.
	MaxWait quantity.Duration `json:"maxWait,omitempty"`
	// MaxValue is the most bytes of one value, object or answer. Default 16Mi.
	MaxValue quantity.Size `json:"maxValue,omitempty"`
}

// DefaultLimits are those of a kind that says nothing else.
func DefaultLimits() Limits {
	return Limits{Timeout: quantity.Duration(10 * time.Second), MaxCalls: 64, MaxWait: quantity.Duration(5 * time.Second), MaxValue: 16 << 20}
}

// Check adds what cannot be kept to.
func (l *Limits) Check(es *document.Errors) {
	if l.Timeout < quantity.Duration(time.Millisecond) {
		es.Add("timeout", "is %v, expected at least 1ms", l.Timeout)
	}
	if l.MaxCalls < 1 || l.MaxCalls > 10000 {
		es.Add("maxCalls", "is %d, expected 1 to 10000", l.MaxCalls)
	}
	if l.MaxWait < 0 {
		es.Add("maxWait", "is %v, expected 0s or more", l.MaxWait)
	}
	if l.MaxValue < 1 || l.MaxValue > 1<<30 {
		es.Add("maxValue", "is %v, expected 1 to 1Gi", l.MaxValue)
	}
}

// Bounds returns l.
func (l *Limits) Bounds() Limits { return *l }

// Limited is implemented by configurations and bindings that have [Limits].
type Limited interface{ Bounds() Limits }

// Factory makes bindings of one kind; Set finds them. A Factory's kind is
// "class/kind", such as "kv/redis".
type (
	Factory = component.Factory[Binding, Settings]
	Set     = component.Set[Binding, Settings]
)

// NewSet makes the set of the bindings that a program has.
func NewSet(fs ...Factory) *Set { return component.NewSet(fs...) }

// classes are those that a spec may name. Where it names none and several have
// the kind, the first of them is meant.
var classes = []string{"kv", "table", "object", "stream", "file"}

// Resolve finds what a spec means among kinds of the form "class/kind". The
// class may be left out: then the first class that has the kind is meant. Errors
// are [document.Errors] whose paths are relative to the binding.
func Resolve(known []string, spec function.DataBinding) (string, error) {
	if spec.Class != "" && !slices.Contains(classes, spec.Class) {
		return "", document.Errors{{Path: "class", Msg: fmt.Sprintf("unknown class %q%s (known: %s)",
			spec.Class, document.DidYouMean(spec.Class, classes), strings.Join(classes, ", "))}}
	}
	var found, kinds []string
	for _, k := range known {
		class, kind, _ := strings.Cut(k, "/")
		if spec.Class != "" && class != spec.Class {
			continue
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		if kind == spec.Kind {
			found = append(found, k)
		}
	}
	slices.Sort(kinds)
	if len(found) == 0 {
		of := ""
		if spec.Class != "" {
			of = " of class " + spec.Class
		}
		return "", document.Errors{{Path: "kind", Msg: fmt.Sprintf("unknown kind %q%s%s (known: %s)",
			spec.Kind, of, document.DidYouMean(spec.Kind, kinds), strings.Join(kinds, ", "))}}
	}
	slices.SortFunc(found, func(a, b string) int { return slices.Index(classes, classOf(a)) - slices.Index(classes, classOf(b)) })
	return found[0], nil
}

func classOf(kind string) string {
	class, _, _ := strings.Cut(kind, "/")
	return class
}

// Handle makes what functions use of a driver b, or of what lies before one,
// bounded by g.
func Handle(b any, g *data.Guard) (any, error) {
	switch b := b.(type) {
	case data.KeyStore:
		return data.NewKV(b, g), nil
	case data.Database:
		return data.NewTable(b, g), nil
	case data.FileStore:
		return data.NewFiles(b, g), nil
	case data.ObjectStore:
		return data.NewObject(b, g), nil
	case data.Publisher:
		return data.NewStream(b, g), nil
	}
	return nil, fmt.Errorf("a %T is of no class", b)
}
