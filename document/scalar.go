package document

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

func (d *decoder) scalar(n *node, v reflect.Value, path string, loose bool) {
	switch v.Kind() {
	case reflect.String:
		d.text(n, v, path, loose)
	case reflect.Bool:
		if n.kind != boolean {
			d.wrong(n, path, "true or false")
			return
		}
		v.SetBool(n.text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.integer(n, v, path)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.unsigned(n, v, path)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(n.literal, v.Type().Bits())
		if n.kind != number || err != nil {
			d.wrong(n, path, "a number")
			return
		}
		v.SetFloat(f)
	default:
		d.whole(n, v, path)
	}
}

func (d *decoder) text(n *node, v reflect.Value, path string, loose bool) {
	switch {
	case n.kind == text, loose && (n.kind == number || n.kind == boolean):
		v.SetString(n.text)
	case n.kind == number || n.kind == boolean:
		d.fail(n.line, n.col, path, "expected text, got %s (put it in quotes)", n.said())
	default:
		d.wrong(n, path, "text")
	}
}

func (d *decoder) integer(n *node, v reflect.Value, path string) {
	if n.kind != number {
		d.wrong(n, path, "a whole number")
		return
	}
	bits := v.Type().Bits()
	i, err := strconv.ParseInt(n.literal, 10, bits)
	if err != nil {
		d.wrong(n, path, d.whyNot(err, strconv.FormatInt(-1<<(bits-1), 10), strconv.FormatInt(1<<(bits-1)-1, 10)))
		return
	}
	v.SetInt(i)
}

func (d *decoder) unsigned(n *node, v reflect.Value, path string) {
	if n.kind != number {
		d.wrong(n, path, "a whole number")
		return
	}
	bits := v.Type().Bits()
	most := strconv.FormatUint(1<<bits-1, 10)
	if len(n.literal) > 0 && n.literal[0] == '-' {
		d.wrong(n, path, "a whole number from 0 to "+most)
		return
	}
	u, err := strconv.ParseUint(n.literal, 10, bits)
	if err != nil {
		d.wrong(n, path, d.whyNot(err, "0", most))
		return
	}
	v.SetUint(u)
}

// whyNot says what is expected of a number that could not be read as one.
func (d *decoder) whyNot(err error, least, most string) string {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Sprintf("a whole number from %s to %s", least, most)
	}
	return "a whole number"
}
