package component

import (
	"reflect"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/document"
)

// SecretFields returns where the configuration of a kind holds secrets: the
// fields whose type is one, such as [quantity.Secret], as paths of JSON names.
// "*" stands for any entry of a map or list. A kind marks a field by its type,
// and by nothing else.
func (f Factory[T, S]) SecretFields() [][]string {
	return secretFields(reflect.TypeOf(f.zero()), nil, nil)
}

var revealer = reflect.TypeFor[document.Revealer]()

func secretFields(t reflect.Type, path []string, within []reflect.Type) (out [][]string) {
	if t == nil || slices.Contains(within, t) {
		return nil
	}
	if t.Implements(revealer) {
		return [][]string{slices.Clone(path)}
	}
	within = append(slices.Clone(within), t)
	switch t.Kind() {
	case reflect.Pointer:
		return secretFields(t.Elem(), path, within)
	case reflect.Map, reflect.Slice, reflect.Array:
		return secretFields(t.Elem(), append(slices.Clone(path), "*"), within)
	case reflect.Struct:
		for i := range t.NumField() {
			out = append(out, ofField(t.Field(i), path, within)...)
		}
	}
	return out
}

func ofField(f reflect.StructField, path []string, within []reflect.Type) [][]string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case name == "-" || !f.IsExported() && !f.Anonymous:
		return nil
	case name == "" && f.Anonymous:
		return secretFields(f.Type, path, within)
	case name == "":
		name = f.Name
	}
	return secretFields(f.Type, append(slices.Clone(path), name), within)
}
