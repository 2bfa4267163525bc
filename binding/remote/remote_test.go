package remote_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/remote"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// mirror is a driver of every class: it keeps keys, and answers SQL with its
// parameters.
type mirror struct {
	keys map[string][]byte
	open int // transactions

	published []data.Message
}

func (m *mirror) Get(_ context.Context, key string) (data.Value, error) {
	v, ok := m.keys[key]
	if !ok {
		return data.Value{}, data.Errorf(data.NotFound, "key %q is not there", key)
	}
	return data.Value{Data: v, Version: "1"}, nil
}

func (m *mirror) Put(_ context.Context, key string, value []byte, _ data.Put) (string, error) {
	m.keys[key] = slices.Clone(value)
	return "1", nil
}

func (m *mirror) Delete(_ context.Context, key string, _ *string) error {
	delete(m.keys, key)
	return nil
}

func (m *mirror) Publish(_ context.Context, ms []data.Message) []error {
	m.published = append(m.published, ms...)
	return nil
}

// tables answers SQL with its parameters.
type tables struct{ *mirror }

func (t tables) Query(_ context.Context, _ data.Bounds, _ string, args []any) (*data.Result, error) {
	r := &data.Result{Rows: [][]any{args}}
	for range args {
		r.Columns = append(r.Columns, "c")
	}
	return r, nil
}

func (t tables) Exec(_ context.Context, _ string, args []any) (int64, error) {
	return int64(len(args)), nil
}

func (t tables) Insert(_ context.Context, _ string, _ []string, rows [][]any) (int64, error) {
	return int64(len(rows)), nil
}

func (t tables) Begin(context.Context) (data.Transaction, error) {
	t.open++
	return t, nil
}

func (t tables) End(bool) error {
	t.open--
	return nil
}

func serving() (*remote.Server, *mirror) {
	m := &mirror{keys: map[string][]byte{}}
	return remote.New(map[string]any{"k": data.NewKV(m, nil), "t": data.NewTable(tables{m}, nil), "s": data.NewStream(m, nil)}), m
}

// What a worker says is answered whatever it is, and its transactions do not
// outlive their owner.
func FuzzServe(f *testing.F) {
	f.Add("k", "kv.put", "key", "Ttl", "1.5", []byte("v"))
	f.Add("k", "kv.get", "key", "", "", []byte(nil))
	f.Add("k", "kv.add", "key", "If-Version", "", []byte("1"))
	f.Add("t", "table.query", "select ?", "Limit", "3", []byte(`[1, 1.5, "x", null, true, {"$bytes": "eA=="}, {"$time": "2026-01-02T03:04:05Z"}, [1], {"a": 1}, 1e400]`))
	f.Add("t", "table.insert", "t", "Columns", "a,b", []byte(`[[1, "p"], [2, "q"]]`))
	f.Add("t", "table.begin", "", "", "", []byte(nil))
	f.Add("t", "table.commit", "no such", "Transaction", "none", []byte("[]"))
	f.Add("s", "stream.publish", "topic", "H-A", "1", []byte("m"))
	f.Add("s", "stream.publishAll", "", "", "", []byte(`[["t", "v", null, {}], ["t", {"$bytes": "eA=="}, "k", {"a": "1"}], ["t", "v"]]`))
	f.Add("nowhere", "object.get", "../x", "Range", "5-2", []byte(nil))
	f.Fuzz(func(t *testing.T, name, method, path, key, value string, body []byte) {
		s, m := serving()
		owner := &runtime.Scope{}
		for range 2 {
			var answer event.Response
			call := &runtime.Call{Kind: runtime.CallBinding, Name: name, Method: method, Path: path, Body: body, Headers: []event.Field{{Key: key, Value: value}}}
			if err := s.Serve(t.Context(), owner, call, &answer); err != nil {
				t.Fatal(err)
			}
			switch {
			case answer.Status < 200 || answer.Status > 599:
				t.Errorf("answered with status %d", answer.Status)
			case answer.Status == http.StatusInternalServerError:
				t.Errorf("an error without a reason: %s", answer.Body)
			case answer.Status >= 400 && len(answer.Body) == 0:
				t.Errorf("status %d without a text", answer.Status)
			case answer.ContentType == "application/json" && !json.Valid(answer.Body):
				t.Errorf("no JSON: %q", answer.Body)
			}
		}
		s.Done(owner)
		if m.open > 0 {
			t.Errorf("%d transactions are open", m.open)
		}
	})
}

// Parameters come back as what they were.
func TestParametersComeBack(t *testing.T) {
	s, _ := serving()
	const row = `[1,-9223372036854775808,1.5,2.0,"x'y",null,true,{"$bytes":"eA=="},"2026-01-02T03:04:05Z","é\u0000"]`
	given := strings.Replace(row, `"2026-01-02T03:04:05Z"`, `{"$time": "2026-01-02T03:04:05Z"}`, 1)
	var answer event.Response
	if err := s.Serve(t.Context(), nil, &runtime.Call{Name: "t", Method: "table.query", Path: "select", Body: []byte(given)}, &answer); err != nil {
		t.Fatal(err)
	}
	if want := `"rows":[` + row + `]}`; answer.Status != 200 || !utf8.Valid(answer.Body) || !strings.HasSuffix(string(answer.Body), want) {
		t.Errorf("%d %s, want %s", answer.Status, answer.Body, want)
	}
}

// Several messages are in one call, and what is wrong with one is told.
func TestPublishAll(t *testing.T) {
	s, m := serving()
	for body, want := range map[string]int{
		`[["t","v"],["t",{"$bytes":"/w=="},"k",{"a":"1","b":"2"}],["u",{"n":1},null,null]]`: 204,
		`[]`: 204, `[["t"]]`: 400, `[[1,"v"]]`: 400, `[["t","v","k",{"a":1}]]`: 400, `[["a b","v"]]`: 400, `{}`: 400, `[["t","v",1]]`: 400, `[["t","v",null,{},1]]`: 400,
	} {
		m.published = nil
		var answer event.Response
		if err := s.Serve(t.Context(), nil, &runtime.Call{Name: "s", Method: "stream.publishAll", Body: []byte(body)}, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Status != want {
			t.Errorf("%s: %d %s", body, answer.Status, answer.Body)
		}
		if want == 400 && len(m.published) > 0 {
			t.Errorf("%s: %v is published", body, m.published)
		}
		if len(body) > 60 {
			got := fmt.Sprintf("%q", m.published)
			if got != `[{"t" "" "v" []} {"t" "k" "\xff" [{"a" "1"} {"b" "2"}]} {"u" "" "{\"n\":1}" []}]` {
				t.Errorf("published %s", got)
			}
		}
	}
}
