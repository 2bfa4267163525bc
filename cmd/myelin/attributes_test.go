package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

// pages are those of kinds that are called otherwise, or have a part of their
// attributes on another page.
var pages = map[string][]string{
	"http": {"http", "websocket"}, "jetstream": {"jetstream", "nats"}, "postgresReplication": {"replication"}, "v3ioStream": {"v3io"},
}

// The page of each trigger names all its attributes, and none that it has not; a
// default that the type has is the one that the page tells.
func TestPagesOfTriggers(t *testing.T) {
	for _, kind := range triggers.Kinds() {
		f, err := triggers.Lookup(kind)
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind != kind || kind == "eventhub" { // an alias; one that makes no triggers
			continue
		}
		names := pages[kind]
		if names == nil {
			names = []string{strings.ToLower(kind)}
		}
		comparePage(t, f, names)
	}
}

func comparePage(t *testing.T, f trigger.Factory, names []string) {
	t.Helper()
	var text strings.Builder // of all of them
	rows := map[string]string{}
	for i, name := range names {
		b, err := os.ReadFile(filepath.Join("..", "..", "docs", "triggers", name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
		text.WriteByte('\n')
		if _, err := triggers.Lookup(name); i == 0 || err != nil { // else it is another kind's page
			maps.Copy(rows, attributeRows(string(b)))
		}
	}
	page := "docs/triggers/" + names[0] + ".md"
	have := map[string]reflect.Value{}
	leaves(reflect.ValueOf(f.Defaults()), "", have)
	for name, told := range rows {
		v, is := have[name]
		if !is {
			t.Errorf("%s has the attribute %s, which the kind %s has not", page, name, f.Kind)
			continue
		}
		if says, differs := differs(v, told); differs {
			t.Errorf("%s: the default of %s is %v, and the page says %q", page, name, says, told)
		}
	}
	for name, v := range have {
		if v.Kind() != reflect.Struct && !named(text.String(), name) {
			t.Errorf("%s does not name the attribute %s of the kind %s", page, name, f.Kind)
		}
	}
}

// leaves finds the attributes of a configuration by their paths, those that hold
// others as well.
func leaves(v reflect.Value, path string, out map[string]reflect.Value) {
	if path != "" {
		out[path] = v
	}
	if v.Kind() == reflect.Pointer && v.Type().Elem().Kind() == reflect.Struct {
		if v.IsNil() {
			v = reflect.New(v.Type().Elem())
		}
		v = v.Elem()
		out[path] = v
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			leaves(v.Field(i), path, out)
		case !field.IsExported() || name == "-":
		default:
			if path != "" {
				name = path + "." + name
			}
			leaves(v.Field(i), name, out)
		}
	}
}

var (
	tables = regexp.MustCompile(`(?m)^\| [Aa]ttribute \|.*\n\|[-|]+\|\n((?:\|.*\n)*)`)
	code   = regexp.MustCompile("`([A-Za-z][A-Za-z0-9.]*)`")
)

// attributeRows are the defaults that the tables of attributes tell, by attribute.
func attributeRows(page string) map[string]string {
	out := map[string]string{}
	for _, table := range tables.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(table[1]) {
			cells := strings.Split(line, "|")
			names := code.FindAllStringSubmatch(cells[1], -1)
			told := strings.Split(strings.TrimSpace(cells[2]), ", ")
			for i, n := range names {
				one := strings.TrimSpace(cells[2])
				if len(names) > 1 && len(told) == len(names) {
					one = told[i]
				}
				out[n[1]] = one
			}
		}
	}
	return out
}

// named says whether a page names an attribute, or one that holds it.
func named(page, name string) bool {
	for at := name; ; {
		if strings.Contains(page, "`"+at+"`") {
			return true
		}
		i := strings.LastIndexByte(at, '.')
		if i < 0 {
			return false
		}
		at = at[:i]
	}
}

// differs compares the default that a type has with what a page tells. One that is
// the type's zero may be filled in later, and is what the page says.
func differs(v reflect.Value, told string) (says string, differs bool) {
	told = strings.ReplaceAll(told, "`", "")
	first, _, _ := strings.Cut(told, " ")
	first = strings.TrimRight(first, ",")
	if v.Kind() == reflect.Bool {
		says = fmt.Sprint(v.Bool())
		return says, v.Bool() && first != "true" || !v.Bool() && first == "true"
	}
	if v.IsZero() {
		return "", false
	}
	switch d := v.Interface().(type) {
	case quantity.Duration:
		got, err := quantity.ParseDuration(first)
		return d.String(), err != nil || got != d
	case quantity.Size:
		got, err := quantity.ParseSize(strings.ReplaceAll(told, " ", ""))
		return d.String(), err != nil || got != d
	}
	switch v.Kind() {
	case reflect.String, reflect.Int, reflect.Int64, reflect.Float64:
		says = fmt.Sprint(v.Interface())
		return says, says != told && says != first
	default: // a structure, whose attributes are compared themselves
		return "", false
	}
}

// A page that is wrong is told so.
func TestPagesThatAreWrong(t *testing.T) {
	rows := attributeRows("| attribute | default | |\n|---|---|---|\n| `a`, `b.c` | 1s, 16M | x |\n| `d` | `word`, or not | |\n")
	if len(rows) != 3 || rows["a"] != "1s" || rows["b.c"] != "16M" || rows["d"] != "`word`, or not" {
		t.Fatalf("%v", rows)
	}
	for told, v := range map[string]any{"2s": quantity.Duration(1e9), "16M": quantity.Size(16 << 20), "`other`": "word", "false": true, "true": false, "4": 5} {
		if _, wrong := differs(reflect.ValueOf(v), told); !wrong {
			t.Errorf("%q is told of %v", told, v)
		}
	}
	for told, v := range map[string]any{"1s": quantity.Duration(1e9), "16 MiB": quantity.Size(16 << 20), "`word`": "word", "true": true, "": false, "5, no more": 5, "anything": 0} {
		if says, wrong := differs(reflect.ValueOf(v), told); wrong {
			t.Errorf("%q is %s", told, cmp.Or(says, fmt.Sprint(v)))
		}
	}
}
