package prefetch

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
)

// service is a store whose values are their keys, and a database that answers with
// its parameters.
type service struct {
	data.Database
	gets atomic.Int32
}

func (s *service) Get(_ context.Context, key string) (data.Value, error) {
	s.gets.Add(1)
	switch {
	case strings.HasPrefix(key, "none"):
		return data.Value{}, data.NotFound
	case strings.HasPrefix(key, "away"):
		return data.Value{}, data.Misuse
	}
	return data.Value{Data: []byte(key)}, nil
}
func (s *service) Put(context.Context, string, []byte, data.Put) (string, error) { return "", nil }
func (s *service) Delete(context.Context, string, *string) error                 { return nil }

type database struct{ data.Database }

func (database) Query(_ context.Context, _ data.Bounds, _ string, args []any) (*data.Result, error) {
	return &data.Result{Columns: make([]string, len(args)), Rows: [][]any{args}}, nil
}

func plan(t *testing.T, s *service, k, db []function.Prefetch) *Plan {
	t.Helper()
	p, err := New(map[string]function.DataBinding{"k": {Prefetch: k}, "t": {Name: "db", Prefetch: db}},
		map[string]any{"k": data.NewKV(s, &data.Guard{Name: "k", Fetches: true}), "db": data.NewTable(database{}, &data.Guard{Name: "db"})})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func body(s string) *event.Event { return &event.Event{Body: []byte(s)} }

func found(f *data.Fetched) (out []string) {
	for _, it := range f.Items() {
		if it.Rows != nil {
			out = append(out, fmt.Sprintf("%s=%#v", it.As, it.Rows.Rows[0]))
		} else {
			out = append(out, fmt.Sprintf("%s=%s,%v", it.As, it.Value.Data, it.Err))
		}
	}
	return out
}

// Names and parameters come from the event, in their kinds; what is wanted twice
// is fetched once.
func TestFetch(t *testing.T) {
	s := &service{}
	p := plan(t, s, []function.Prefetch{{Get: "u:{event.body.user.0.id}", As: "u"}, {Get: "{event.key}", As: "key"}},
		[]function.Prefetch{{Query: "SELECT ?, ?", Params: []string{"{event.body.n}", "n is {event.body.n}"}, As: "q"}})
	evs := []*event.Event{body(`{"user":[{"id":7}],"n":1.5}`), body(`{"user":[{"id":"7"}],"n":12345678901234567}`), body(`{"user":[]}`), body(`[`), {Key: []byte("none")}}
	got, errs := p.Fetch(context.Background(), evs)
	want := [][]string{
		{"u=u:7,<nil>", `q=[]interface {}{1.5, "n is 1.5"}`}, {"u=u:7,<nil>", `q=[]interface {}{12345678901234567, "n is 12345678901234567"}`},
		nil, nil, {"key=,not found"},
	}
	for i := range evs {
		out := found(got[i])
		if len(out) > 0 && i == 4 {
			out[0] = "key=,not found"
		}
		if d := cmp.Diff(want[i], out); d != "" || errs[i] != nil {
			t.Errorf("%d: %v %s", i, errs[i], d)
		}
	}
	if n := s.gets.Load(); n != 2 {
		t.Errorf("%d gets, want 2", n)
	}
}

// An event without what the spec requires fails for good, and says what it lacks; a
// service that fails, fails it for now.
func TestRequired(t *testing.T) {
	p := plan(t, &service{}, []function.Prefetch{{Get: "{event.fields.k}", Required: true}}, nil)
	evs := []*event.Event{{Fields: event.Pairs{{Key: "k", Value: []byte("a")}}}, {}, {Fields: event.Pairs{{Key: "k", Value: []byte("away")}}}, {Fields: event.Pairs{{Key: "k", Value: []byte("none")}}}}
	_, errs := p.Fetch(context.Background(), evs)
	if errs[0] != nil || errs[3] != nil {
		t.Errorf("%v, %v", errs[0], errs[3])
	}
	if errs[1] == nil || !event.IsPermanent(errs[1]) || !strings.Contains(errs[1].Error(), "prefetch of binding k: the event has no fields.k") {
		t.Error(errs[1])
	}
	if errs[2] == nil || event.IsPermanent(errs[2]) {
		t.Error(errs[2])
	}
}

// What was fetched is found by the function's calls until it writes.
func TestFound(t *testing.T) {
	s := &service{}
	p := plan(t, s, []function.Prefetch{{Get: "{event.key}", As: "mine"}}, nil)
	got, _ := p.Fetch(context.Background(), []*event.Event{{Key: []byte("a")}})
	ctx := data.WithFetched(context.Background(), got[0])
	kv := data.NewKV(s, &data.Guard{Name: "k", Fetches: true})
	v, err := kv.Get(ctx, "a")
	if err != nil || string(v.Data) != "a" || s.gets.Load() != 1 {
		t.Errorf("%q, %v, %d gets", v.Data, err, s.gets.Load())
	}
	v.Data[0] = 'X'
	if v, err := kv.Fetched(ctx, "mine"); err != nil || string(v.Data) != "a" {
		t.Errorf("%q, %v", v.Data, err)
	}
	if _, err := kv.Put(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Fetched(ctx, "mine"); data.ReasonOf(err) != data.NotFound {
		t.Errorf("after a write: %v", err)
	}
	if _, err := kv.Get(ctx, "a"); err != nil || s.gets.Load() != 2 {
		t.Errorf("%v, %d gets", err, s.gets.Load())
	}
}

// What a class has not is refused before anything runs.
func TestMistakes(t *testing.T) {
	for want, p := range map[string]function.Prefetch{"needs query": {Query: "SELECT 1", As: "x"}, "without its }": {Get: "{"}} {
		_, err := New(map[string]function.DataBinding{"k": {Prefetch: []function.Prefetch{p}}}, map[string]any{"k": data.NewKV(&service{}, nil)})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "spec.dataBindings.k.prefetch[0]") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
