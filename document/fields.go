package document

import (
	"reflect"
	"strings"
	"sync"
)

// field is a field of a struct as JSON sees it.
type field struct {
	name      string
	index     []int
	loose     bool // tag document:"scalar": a number or boolean is taken as text
	omitEmpty bool
	omitZero  bool
}

var fieldCache sync.Map // reflect.Type -> []field: computing them is most of a decoding's time

// fieldsOf lists the fields of t in order, those of embedded structs among
// them; a field hides those of the same name that are embedded deeper.
func fieldsOf(t reflect.Type) []field {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.([]field)
	}
	var out []field
	depth := map[string]int{}
	for _, f := range allFields(t, nil) {
		if d, ok := depth[f.name]; !ok || len(f.index) < d {
			depth[f.name] = len(f.index)
		}
	}
	for _, f := range allFields(t, nil) {
		if len(f.index) == depth[f.name] {
			out = append(out, f)
		}
	}
	fieldCache.Store(t, out)
	return out
}

func allFields(t reflect.Type, prefix []int) []field {
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		index := append(append([]int(nil), prefix...), i)
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		inner := sf.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case name == "-" && options == "":
		case sf.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			out = append(out, allFields(inner, index)...)
		case sf.IsExported():
			if name == "" {
				name = sf.Name
			}
			options = "," + options + ","
			out = append(out, field{
				name: name, index: index,
				loose:     sf.Tag.Get("document") == "scalar",
				omitEmpty: strings.Contains(options, ",omitempty,"),
				omitZero:  strings.Contains(options, ",omitzero,"),
			})
		}
	}
	return out
}

// fieldFor returns the field of v, making the embedded pointers on the way.
func fieldFor(v reflect.Value, index []int) reflect.Value {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v
}

func fieldNames(fs []field) []string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	return names
}
