package document

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Decode sets v, a pointer, from the document, by the json tags of its
// structs. What the document does not say keeps its value. It is strict: names
// match exactly, unknown fields are mistakes, and nothing is converted. It
// returns all mistakes as [Errors]; v is then partly set and not to be used.
//
// Types with UnmarshalJSON or UnmarshalText read themselves. A
// [json.RawMessage] takes any value as JSON. A field with the tag
// document:"scalar" takes numbers and booleans as the text they were written as.
func (d *Document) Decode(v any) error {
	dec := decoder{file: d.name}
	return dec.run(d.root, v)
}

// DecodeJSON decodes raw, JSON text, over v as [Document.Decode] does. The
// paths in its [Errors] begin in raw; they have no lines.
func DecodeJSON(raw []byte, v any) error {
	root, err := parseJSON("", raw)
	if err != nil {
		return relative(err)
	}
	dec := decoder{}
	return relative(dec.run(root, v))
}

// relative drops the lines of a text that is a part of another.
func relative(err error) error {
	var many Errors
	if !errors.As(err, &many) {
		return err
	}
	for _, e := range many {
		e.Line, e.Column = 0, 0
	}
	return many
}

type decoder struct {
	file string
	errs Errors
}

func (d *decoder) run(root *node, v any) error {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("decode into %T: not a pointer", v)
	}
	d.value(root, p.Elem(), "", false)
	return d.errs.sorted().Err()
}

func (d *decoder) fail(line, col int, path, format string, args ...any) {
	if len(d.errs) < maxError {
		d.errs = append(d.errs, &Error{File: d.file, Line: line, Column: col, Path: path, Msg: fmt.Sprintf(format, args...)})
	}
}

// wrong tells that something else was expected.
func (d *decoder) wrong(n *node, path, expected string) {
	d.fail(n.line, n.col, path, "expected %s, got %s", expected, n.said())
}

var rawMessage = reflect.TypeFor[json.RawMessage]()

func (d *decoder) value(n *node, v reflect.Value, path string, loose bool) {
	if n.kind == null {
		switch v.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
			v.SetZero()
		}
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path, loose)
		return
	}
	if v.Type() == rawMessage {
		v.SetBytes(n.appendJSON(nil))
		return
	}
	if d.self(n, v, path) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Map:
		d.dict(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path, loose || n.loose)
	}
}

// self lets a type read itself, if it can.
func (d *decoder) self(n *node, v reflect.Value, path string) bool {
	var err error
	switch u := v.Addr().Interface().(type) {
	case json.Unmarshaler:
		raw := n.appendJSON(nil)
		if n.loose && v.Kind() == reflect.String && (n.kind == number || n.kind == boolean) {
			raw = appendText(nil, n.text)
		}
		err = u.UnmarshalJSON(raw)
	case encoding.TextUnmarshaler:
		if n.kind != text {
			d.wrong(n, path, "text")
			return true
		}
		err = u.UnmarshalText([]byte(n.text))
	default:
		return false
	}
	if err == nil {
		return true
	}
	for _, e := range under(path, err) {
		d.fail(n.line, n.col, e.Path, "%s", e.Msg)
	}
	return true
}

func (d *decoder) object(n *node, v reflect.Value, path string) {
	if n.kind != object {
		d.wrong(n, path, "fields")
		return
	}
	fs := fieldsOf(v.Type())
members:
	for _, m := range n.members {
		if len(d.errs) == maxError {
			return
		}
		at := Join(path, m.name)
		for _, f := range fs {
			if f.name == m.name {
				d.value(m.value, fieldFor(v, f.index), at, f.loose)
				continue members
			}
		}
		hint := ""
		if near := nearest(m.name, fieldNames(fs)); near != "" {
			hint = ", did you mean " + near + "?"
		}
		d.fail(m.line, m.col, at, "unknown field%s", hint)
	}
}

func (d *decoder) dict(n *node, v reflect.Value, path string) {
	t := v.Type()
	if t.Key().Kind() != reflect.String {
		d.whole(n, v, path)
		return
	}
	if n.kind != object {
		d.wrong(n, path, "fields")
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(t, len(n.members)))
	}
	for _, m := range n.members {
		item := reflect.New(t.Elem()).Elem()
		d.value(m.value, item, Join(path, m.name), false)
		v.SetMapIndex(reflect.ValueOf(m.name).Convert(t.Key()), item)
	}
}

func (d *decoder) list(n *node, v reflect.Value, path string) {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		d.whole(n, v, path)
		return
	}
	if n.kind != list {
		d.wrong(n, path, "a list")
		return
	}
	items := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		d.value(item, items.Index(i), joinIndex(path, i), false)
	}
	v.Set(items)
}

// whole leaves types that have no rules of ours to encoding/json.
func (d *decoder) whole(n *node, v reflect.Value, path string) {
	if err := json.Unmarshal(n.appendJSON(nil), v.Addr().Interface()); err != nil {
		d.wrong(n, path, v.Type().String())
	}
}
