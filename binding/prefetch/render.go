package prefetch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
)

// view is an event as templates look at it. Its body is read as JSON once, when a
// template asks for a part of it.
type view struct {
	ev   *event.Event
	body any
	read bool
}

// missing says what an event lacks.
type missing struct{ what string }

func (m *missing) Error() string { return "the event has no " + m.what }

// text fills in a template.
func (v *view) text(t function.Template) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.Field == "" {
			b.WriteString(p.Text)
			continue
		}
		val, err := v.value(p)
		if err != nil {
			return "", err
		}
		s, ok := scalar(val)
		if !ok {
			return "", &missing{name(p) + " that is text or a number"}
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// parameter fills in a template for a query: one that is a place and nothing else
// keeps the kind of its value.
func (v *view) parameter(t function.Template) (any, error) {
	if len(t) != 1 || t[0].Field == "" {
		return v.text(t)
	}
	val, err := v.value(t[0])
	if err != nil {
		return nil, err
	}
	switch val := val.(type) {
	case json.Number:
		if n, err := val.Int64(); err == nil {
			return n, nil
		}
		return val.Float64()
	case bool, string:
		return val, nil
	}
	text, err := json.Marshal(val)
	return string(text), err
}

func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

func name(p function.Part) string { return strings.Join(append([]string{p.Field}, p.Path...), ".") }

// value finds what a place stands for.
func (v *view) value(p function.Part) (any, error) {
	var b []byte
	switch p.Field {
	case "body":
		if len(p.Path) > 0 {
			return v.inBody(p)
		}
		b = v.ev.Body
	case "headers":
		b = v.ev.Header(p.Path[0])
	case "fields":
		b = v.ev.Field(p.Path[0])
	case "key":
		b = v.ev.Key
	case "topic":
		b = []byte(v.ev.Topic)
	case "path":
		b = v.ev.Path
	case "id":
		b = v.ev.ID
	case "method":
		b = v.ev.Method
	case "shard":
		return json.Number(strconv.Itoa(int(v.ev.Token.Shard))), nil
	case "offset":
		return json.Number(strconv.FormatInt(v.ev.Token.Offset, 10)), nil
	}
	if len(b) == 0 {
		return nil, &missing{name(p)}
	}
	return string(b), nil
}

// inBody finds a part of a body of JSON.
func (v *view) inBody(p function.Part) (any, error) {
	if !v.read {
		v.read = true
		d := json.NewDecoder(bytes.NewReader(v.ev.Body))
		d.UseNumber()
		if d.Decode(&v.body) != nil {
			v.body = nil
		}
	}
	at := v.body
	for _, step := range p.Path {
		switch in := at.(type) {
		case map[string]any:
			at = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(in) {
				return nil, &missing{name(p)}
			}
			at = in[i]
		default:
			at = nil
		}
	}
	if at == nil {
		return nil, &missing{name(p)}
	}
	return at, nil
}

func parse(t string) (function.Template, error) {
	out, err := function.ParseTemplate(t)
	if err != nil {
		return nil, fmt.Errorf("parse template: %w", err)
	}
	return out, nil
}
