// Package apply merges what somebody declares about an object into what the
// object is: fields that they declare are set, fields that they declared before
// and do not any more are removed, and fields that others set stay. Objects
// are trees as encoding/json makes them, numbers as [json.Number]. It knows no
// kind of object.
package apply

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/myelin-run/myelin/document"
)

// Fields is a set of fields: those within each name. A name without fields
// within it is a value, whole. Entries of a list whose items have names are
// named "[NAME]".
type Fields map[string]Fields

// FieldsOf returns the fields that a tree says anything about. Nothing else
// about a field is kept, and so no secret.
func FieldsOf(tree any) Fields {
	out := Fields{}
	each(tree, func(name string, child any) {
		if child != nil {
			out[name] = FieldsOf(child)
		}
	})
	return out
}

// each calls f for the fields of an object, or the named items of a list.
func each(tree any, f func(name string, child any)) {
	switch v := tree.(type) {
	case map[string]any:
		for name, child := range v {
			f(name, child)
		}
	case []any:
		if !named(v) {
			return
		}
		for _, item := range v {
			f(itemName(item), item)
		}
	}
}

// named tells whether the items of a list are told apart by their names.
func named(list []any) bool {
	seen := map[string]bool{}
	for _, item := range list {
		m, _ := item.(map[string]any)
		name, ok := m["name"].(string)
		if !ok || seen[name] {
			return false
		}
		seen[name] = true
	}
	return len(list) > 0
}

func itemName(item any) string { return "[" + item.(map[string]any)["name"].(string) + "]" }

// Merge returns live with wanted in it, and without the fields of owned that
// are not in declared. Declared are the fields that the wish names, of which
// wanted lacks those whose wish is to be nothing. Neither tree is changed.
func Merge(live, wanted any, owned, declared Fields) any {
	switch w := wanted.(type) {
	case map[string]any:
		l, _ := live.(map[string]any)
		return mergeObject(l, w, owned, declared)
	case []any:
		l, _ := live.([]any)
		if named(w) && (len(l) == 0 || named(l)) {
			return mergeList(l, w, owned, declared)
		}
	}
	return wanted
}

func mergeObject(live, wanted map[string]any, owned, declared Fields) map[string]any {
	out := map[string]any{}
	for name, child := range live {
		want, has := wanted[name]
		switch {
		case has:
			out[name] = Merge(child, want, owned[name], declared[name])
		case declared[name] != nil: // declared to be nothing
		case owned[name] != nil:
			if rest := without(child, owned[name]); rest != nil {
				out[name] = rest
			}
		default:
			out[name] = child
		}
	}
	for name, want := range wanted {
		if _, had := live[name]; !had {
			out[name] = want
		}
	}
	return out
}

// mergeList keeps the order of live; what is new comes after it.
func mergeList(live, wanted []any, owned, declared Fields) []any {
	var out []any
	had := map[string]bool{}
	by := map[string]any{}
	for _, item := range wanted {
		by[itemName(item)] = item
	}
	for _, item := range live {
		name := itemName(item)
		had[name] = true
		switch want, has := by[name]; {
		case has:
			out = append(out, Merge(item, want, owned[name], declared[name]))
		case owned[name] == nil:
			out = append(out, item)
		}
	}
	for _, item := range wanted {
		if !had[itemName(item)] {
			out = append(out, item)
		}
	}
	return out
}

// without returns a tree without the fields owned, nil if nothing remains.
func without(tree any, owned Fields) any {
	if len(owned) == 0 {
		return nil
	}
	switch v := tree.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, child := range v {
			if of, ok := owned[name]; !ok {
				out[name] = child
			} else if rest := without(child, of); rest != nil {
				out[name] = rest
			}
		}
		if len(out) > 0 {
			return out
		}
		return nil
	case []any:
		if !named(v) {
			return nil
		}
		out := slices.DeleteFunc(slices.Clone(v), func(item any) bool { return owned[itemName(item)] != nil })
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

// Change is one field that is different.
type Change struct {
	Path string `json:"path"` // spec.env[LEVEL].value
	From any    `json:"from,omitempty"`
	To   any    `json:"to,omitempty"`
	Name string `json:"-"` // of the field, by which secrets are known
}

// Diff returns what is different in b, in the order of the paths. A field
// that is new or gone is one change, however much is in it.
func Diff(a, b any) []Change { return diff(nil, "", "", a, b) }

func diff(out []Change, path, name string, a, b any) []Change {
	if same(a, b) {
		return out
	}
	x, y := children(a), children(b)
	if x == nil || y == nil {
		return append(out, Change{Path: path, From: a, To: b, Name: name})
	}
	for _, child := range slices.Sorted(maps.Keys(union(x, y))) {
		at, of := join(path, child), child
		if child == "value" && len(name) > 1 && name[0] == '[' { // a variable's, whose name says what it is
			of = name[1 : len(name)-1]
		}
		out = diff(out, at, of, x[child], y[child])
	}
	return out
}

func join(path, child string) string {
	if child[:min(1, len(child))] == "[" {
		return path + child
	}
	return document.Join(path, child)
}

func union(x, y map[string]any) map[string]any {
	out := maps.Clone(x)
	maps.Copy(out, y)
	return out
}

// children are the parts of a tree that are compared one by one, nil if it is
// compared whole.
func children(tree any) map[string]any {
	switch v := tree.(type) {
	case map[string]any:
		return v
	case []any:
		if !named(v) {
			return nil
		}
	default:
		return nil
	}
	out := map[string]any{}
	each(tree, func(name string, child any) { out[name] = child })
	return out
}

// same compares trees; numbers by what they are worth.
func same(a, b any) bool {
	x, ok := a.(json.Number)
	y, also := b.(json.Number)
	if ok && also {
		f, err := strconv.ParseFloat(x.String(), 64)
		g, other := strconv.ParseFloat(y.String(), 64)
		return x == y || err == nil && other == nil && f == g
	}
	return reflect.DeepEqual(a, b)
}

// Overlay returns base with over in it, field by field; lists are taken whole.
func Overlay(base, over any) any {
	b, ok := base.(map[string]any)
	o, also := over.(map[string]any)
	if !ok || !also {
		return over
	}
	out := maps.Clone(b)
	for name, child := range o {
		if had, ok := b[name]; ok {
			child = Overlay(had, child)
		}
		out[name] = child
	}
	return out
}
