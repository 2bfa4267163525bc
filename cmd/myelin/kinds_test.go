package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/quantity"
)

// What the API tells of kinds of triggers is made of their configurations, and of
// what their pages say of each attribute.
func TestKindsAreFresh(t *testing.T) {
	const file = "../../control/api/kinds.json"
	want, err := json.MarshalIndent(kindList(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != string(want) {
		t.Errorf("%s is stale: run make docs (%v)", file, err)
	}
}

func kindList(t *testing.T) api.TriggerKindList {
	t.Helper()
	also := map[string][]string{}
	for _, name := range triggers.Kinds() {
		if f, err := triggers.Lookup(name); err == nil && f.Kind != name {
			also[f.Kind] = append(also[f.Kind], name)
		}
	}
	out := api.TriggerKindList{}
	for _, name := range triggers.Kinds() {
		f, err := triggers.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind != name || name == "eventhub" { // an alias; one that makes no triggers
			continue
		}
		names := pages[f.Kind]
		if names == nil {
			names = []string{strings.ToLower(f.Kind)}
		}
		one := api.TriggerKind{Kind: name, Also: also[name], About: f.Doc, Attributes: schemaOf(t, f.Defaults(), "triggers", names...)}
		if name == "http" {
			one.Route = schemaOf(t, route.Attributes(), "", "mappings")
		}
		out.Items = append(out.Items, one)
	}
	return out
}

// row is what a page says of an attribute.
type row struct{ told, about string }

// schemaOf is the schema of a configuration, with what the pages in a directory
// of docs say of its attributes.
func schemaOf(t *testing.T, defaults any, dir string, names ...string) *attribute {
	t.Helper()
	return describer{rows: rowsOf(t, dir, names)}.object(reflect.ValueOf(defaults), "")
}

// rowsOf are the rows of pages, by attribute.
func rowsOf(t *testing.T, dir string, names []string) map[string]row {
	t.Helper()
	out := map[string]row{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("..", "..", "docs", dir, name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range tables.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(table[1]) {
				cells := strings.Split(strings.TrimRight(strings.ReplaceAll(line, `\|`, "\x00"), "|\n "), "|")
				for _, n := range code.FindAllStringSubmatch(cells[1], -1) {
					if _, said := out[n[1]]; !said && len(cells) > 3 {
						out[n[1]] = row{strings.TrimSpace(cells[2]), plainText(cells[3])}
					}
				}
			}
		}
	}
	return out
}

var link = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// plainText is a cell of a page without its markup.
func plainText(cell string) string {
	cell = link.ReplaceAllString(cell, "$1")
	return strings.TrimSpace(strings.NewReplacer("`", "", "**", "", "\x00", "|").Replace(cell))
}

// attribute is what is used of JSON schemas.
type attribute struct {
	Type        string                `json:"type,omitempty"`
	Format      string                `json:"format,omitempty"`
	Description string                `json:"description,omitempty"`
	Default     any                   `json:"default,omitempty"`
	Items       *attribute            `json:"items,omitempty"`
	Properties  map[string]*attribute `json:"properties,omitempty"`
	Required    []string              `json:"required,omitempty"`
	Additional  any                   `json:"additionalProperties,omitempty"`
}

type describer struct{ rows map[string]row }

func (d describer) object(v reflect.Value, path string) *attribute {
	s := &attribute{Type: "object", Properties: map[string]*attribute{}, Additional: false}
	d.fields(v, path, s)
	return s
}

func (d describer) fields(v reflect.Value, path string, s *attribute) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			d.fields(v.Field(i), path, s)
		case !field.IsExported() || name == "-" || name == "":
		default:
			at := strings.TrimPrefix(path+"."+name, ".")
			one := d.value(v.Field(i), at)
			one.Description = d.rows[at].about
			if d.rows[at].told == "required" && one.Default == nil {
				s.Required = append(s.Required, name)
			}
			s.Properties[name] = one
		}
	}
}

// value is the schema of a value, and the value its default.
func (d describer) value(v reflect.Value, path string) *attribute {
	switch is := v.Interface().(type) {
	case quantity.Duration:
		return &attribute{Type: "string", Format: "duration", Default: unless(v, is.String())}
	case quantity.Size:
		return &attribute{Type: "string", Format: "size", Default: unless(v, is.String())}
	case quantity.Secret:
		return &attribute{Type: "string", Format: "password"}
	case json.RawMessage:
		return &attribute{}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
		return d.value(v.Elem(), path)
	case reflect.Struct:
		return d.object(v, path)
	case reflect.Slice:
		return &attribute{Type: "array", Items: d.value(reflect.New(v.Type().Elem()).Elem(), path+"[]"), Default: unless(v, v.Interface())}
	case reflect.Map:
		return &attribute{Type: "object", Additional: d.value(reflect.New(v.Type().Elem()).Elem(), path+"{}"), Default: unless(v, v.Interface())}
	case reflect.Bool:
		return &attribute{Type: "boolean", Default: unless(v, v.Interface())}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &attribute{Type: "integer", Default: unless(v, v.Interface())}
	case reflect.Float32, reflect.Float64:
		return &attribute{Type: "number", Default: unless(v, v.Interface())}
	case reflect.String:
		return &attribute{Type: "string", Default: unless(v, v.Interface())}
	}
	return &attribute{}
}

// unless is a default, if it is not the zero of its type.
func unless(v reflect.Value, is any) any {
	if v.IsZero() {
		return nil
	}
	return is
}
