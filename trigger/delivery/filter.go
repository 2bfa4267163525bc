package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/myelin-run/myelin/event"
)

// filterCost bounds what one evaluation may cost, in CEL's own units: about a
// look-up or a comparison each.
const filterCost = 100_000

// Filter is a compiled condition. It may be used by many goroutines.
type Filter struct {
	prog cel.Program
}

// NewFilter compiles a condition over headers (a map of text), key, topic, id,
// contentType and method (text), body (as JSON: null if it is none), raw (the
// body as bytes), time, shard and offset.
func NewFilter(text string) (*Filter, error) {
	env, err := cel.NewEnv(
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("key", cel.StringType), cel.Variable("topic", cel.StringType), cel.Variable("id", cel.StringType),
		cel.Variable("contentType", cel.StringType), cel.Variable("method", cel.StringType), cel.Variable("path", cel.StringType),
		cel.Variable("body", cel.DynType), cel.Variable("raw", cel.BytesType), cel.Variable("time", cel.TimestampType),
		cel.Variable("shard", cel.IntType), cel.Variable("offset", cel.IntType),
		cel.ParserExpressionSizeLimit(16<<10), cel.ParserRecursionLimit(100), cel.RegexProgramSizeLimit(1000),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare filter: %w", err)
	}
	ast, iss := env.Compile(text)
	if iss.Err() != nil {
		return nil, errors.New(oneLine(iss.Err().Error()))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("is a %s, expected a condition (bool)", t)
	}
	prog, err := env.Program(ast, cel.CostLimit(filterCost))
	if err != nil {
		return nil, fmt.Errorf("prepare filter: %w", err)
	}
	return &Filter{prog}, nil
}

// oneLine joins the lines of CEL's errors.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Pass reports whether the function shall run on ev. An event that lacks what
// the condition asks for does not fulfil it. If the condition cannot be decided
// at all, the event passes, and err says why.
func (f *Filter) Pass(ev *event.Event) (pass bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			pass, err = true, fmt.Errorf("filter panicked: %v", p)
		}
	}()
	out, _, err := f.prog.Eval(view(ev))
	if err != nil {
		if lacking(err) {
			return false, nil
		}
		return true, fmt.Errorf("evaluate filter: %w", err)
	}
	b, ok := out.(types.Bool)
	return ok && bool(b), nil
}

// lacking tells the errors that say that the event is not of the shape that the
// condition is about.
func lacking(err error) bool {
	s := err.Error()
	for _, part := range []string{"no such key", "no such attribute", "no such overload", "no such field", "index out of bounds", "unsupported index"} {
		if strings.Contains(s, part) {
			return true
		}
	}
	return false
}

// view makes the variables; those that cost something, when they are asked for.
func view(ev *event.Event) map[string]any {
	return map[string]any{
		"key": string(ev.Key), "topic": ev.Topic, "id": string(ev.ID), "contentType": string(ev.ContentType),
		"method": string(ev.Method), "path": string(ev.Path), "raw": ev.Body, "time": ev.Time,
		"shard": int64(ev.Token.Shard), "offset": ev.Token.Offset,
		"headers": func() any { return headers(ev) },
		"body":    func() any { return body(ev) },
	}
}

func headers(ev *event.Event) map[string]string {
	m := map[string]string{}
	if ev.Headers != nil {
		for k, v := range ev.Headers.All() {
			if _, twice := m[string(k)]; !twice {
				m[string(k)] = strings.ToValidUTF8(string(v), "\uFFFD")
			}
		}
	}
	return m
}

func body(ev *event.Event) any {
	var v any
	if json.Unmarshal(ev.Body, &v) != nil {
		return types.NullValue
	}
	if v == nil {
		return types.NullValue
	}
	return v
}
