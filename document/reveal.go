package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Revealer is a text that hides itself when marshalled, and can be shown.
type Revealer interface{ Reveal() string }

var revealer = reflect.TypeFor[Revealer]()

// MarshalRevealed writes v as JSON, as [json.Marshal] does, but with every
// [Revealer] in clear. It is for files and stores that only the platform
// reads; never for logs, answers or screens. A type that holds a Revealer and
// has its own MarshalJSON is an error, since it cannot be seen into.
func MarshalRevealed(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := reveal(&b, reflect.ValueOf(v)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func reveal(b *bytes.Buffer, v reflect.Value) error {
	if !v.IsValid() || !mayHide(v.Type()) {
		return plain(b, v)
	}
	if v.Type().Implements(revealer) && v.Kind() == reflect.String {
		b.Write(appendText(nil, v.Interface().(Revealer).Reveal()))
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return plain(b, v)
		}
		return reveal(b, v.Elem())
	}
	if _, own := v.Interface().(json.Marshaler); own {
		return fmt.Errorf("reveal %s: it has its own MarshalJSON", v.Type())
	}
	switch v.Kind() {
	case reflect.Struct:
		return revealStruct(b, v)
	case reflect.Map:
		return revealMap(b, v)
	default:
		return revealList(b, v)
	}
}

func plain(b *bytes.Buffer, v reflect.Value) error {
	var out []byte
	var err error
	if v.IsValid() {
		out, err = json.Marshal(v.Interface())
	} else {
		out = []byte("null")
	}
	b.Write(out)
	return err
}

var hideCache sync.Map // reflect.Type -> bool: finding out is most of an encoding's time

// mayHide tells whether a value of type t may hold a Revealer.
func mayHide(t reflect.Type) bool {
	if cached, ok := hideCache.Load(t); ok {
		return cached.(bool)
	}
	found := hides(t, nil)
	hideCache.Store(t, found)
	return found
}

// hides is mayHide for a type within others that are being looked at.
func hides(t reflect.Type, within []reflect.Type) bool {
	if t.Implements(revealer) || t.Kind() == reflect.Interface {
		return true
	}
	if slices.Contains(within, t) {
		return false
	}
	within = append(within, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return hides(t.Elem(), within)
	case reflect.Struct:
		for _, f := range fieldsOf(t) {
			if hides(t.FieldByIndex(f.index).Type, within) {
				return true
			}
		}
	}
	return false
}

func revealStruct(b *bytes.Buffer, v reflect.Value) error {
	b.WriteByte('{')
	first := true
	for _, f := range fieldsOf(v.Type()) {
		fv, err := v.FieldByIndexErr(f.index)
		if err != nil || f.omitEmpty && isEmpty(fv) || f.omitZero && isZero(fv) {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		b.Write(append(appendText(nil, f.name), ':'))
		if err := reveal(b, fv); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func isZero(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return v.IsZero()
}

func revealMap(b *bytes.Buffer, v reflect.Value) error {
	if v.IsNil() || v.Type().Key().Kind() != reflect.String {
		return plain(b, v)
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
	b.WriteByte('{')
	for i, k := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(append(appendText(nil, k.String()), ':'))
		if err := reveal(b, v.MapIndex(k)); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func revealList(b *bytes.Buffer, v reflect.Value) error {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return plain(b, v)
	}
	b.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := reveal(b, v.Index(i)); err != nil {
			return err
		}
	}
	b.WriteByte(']')
	return nil
}
