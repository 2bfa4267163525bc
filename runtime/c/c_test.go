//go:build cgo

package c_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/c"
	"github.com/myelin-run/myelin/runtime/c/testdata/functions"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

func load(t testing.TB, name string, logs *slog.Logger) runtime.Runtime {
	return loadWith(t, name, logs, nil)
}

func loadWith(t testing.TB, name string, logs *slog.Logger, calls runtime.Caller) runtime.Runtime {
	t.Helper()
	var f c.Function
	if f.Handler, f.Batch, f.Init, f.Close = functions.Find(name); f.Handler == nil && f.Batch == nil {
		return nil
	}
	s := runtime.Settings{Function: function.Config{Metadata: function.Metadata{Name: "f"}}, FunctionLog: logs, Calls: calls}
	r, err := c.Factory(f).New(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t testing.TB, name string) runtime.Instance {
	t.Helper()
	in, err := load(t, name, slog.New(slog.DiscardHandler)).Open(t.Context(), runtime.Worker{ID: 7, TriggerKind: "http", TriggerName: "web"})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// C cannot raise, be killed or end without its process: those functions are
// left out.
func TestSuite(t *testing.T) {
	runtimetest.Run(t, runtimetest.Fixture{New: load, Batches: true, Fills: true, Calls: func(t testing.TB, name string, caller runtime.Caller) runtime.Runtime {
		return loadWith(t, name, slog.New(slog.DiscardHandler), caller)
	}})
}

func TestAttributes(t *testing.T) {
	in := open(t, "attributes")
	defer in.Close(t.Context())
	ev := &event.Event{
		Source: &event.Source{Kind: "kafka", Class: "stream", Name: "lines"}, ID: []byte("i"), Method: []byte("POST"), Path: []byte("/p"),
		URL: []byte("/p?a=1"), ContentType: []byte("text/x"), Key: []byte("k"), Topic: "t", Body: []byte("b"), Time: time.Unix(0, 5),
		Token: event.Token{Shard: 2, Offset: 9}, Shards: 3,
		Headers: event.Pairs{{Key: "A", Value: []byte("1")}, {Key: "B", Value: []byte("")}}, Fields: event.Pairs{{Key: "a", Value: []byte("1")}},
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	const want = "7 f http web|kafka lines|i=POST;/p=/p?a=1;text/x=k;t=b;5 9 2 3|A=1;B=;|a=1;|1 "
	for ctx, deadline := range map[context.Context]string{t.Context(): "0", ctx: "1"} {
		var resp event.Response
		if err := in.Invoke(ctx, ev, &resp); err != nil || string(resp.Body) != want+deadline {
			t.Errorf("%q, %v", resp.Body, err)
		}
	}
	var resp event.Response // an event with nothing in it
	if err := in.Invoke(t.Context(), &event.Event{}, &resp); err != nil || !strings.HasPrefix(string(resp.Body), "7 f http web| |=;=;=;=;0 0 0 0||") {
		t.Errorf("%q, %v", resp.Body, err)
	}
}

func TestFailures(t *testing.T) {
	in := open(t, "fail")
	defer in.Close(t.Context())
	for body, want := range map[string]event.Error{
		"missing": {Status: 404, Message: "no such thing"}, "permanent": {Status: 400, Message: "never"},
		"silent": {Status: 500, Message: "handler returned 7"},
	} {
		var resp event.Response
		err := in.Invoke(t.Context(), &event.Event{Body: []byte(body)}, &resp)
		var failed *event.Error
		if !errors.As(err, &failed) || *failed != want || event.IsPermanent(err) != (body == "permanent") || len(resp.Body) != 0 {
			t.Errorf("%s: %v, %q", body, err, resp.Body)
		}
	}
}

// Memory of the function's own is given back once, whatever became of the
// event, and after it was sent if it was lent.
func TestOwnedMemory(t *testing.T) {
	in := open(t, "owned")
	defer in.Close(t.Context())
	for _, x := range []struct {
		body  string
		takes event.Takes
		lends bool
	}{{"small", event.TakesViews, false}, {strings.Repeat("l", 100<<10), event.TakesViews, true},
		{strings.Repeat("l", 100<<10), 0, false}, {"fail", event.TakesViews, false}, {"nothing is said", 0, false}} {
		before := functions.Released()
		resp := event.Response{Takes: x.takes}
		err := in.Invoke(t.Context(), &event.Event{Body: []byte(x.body)}, &resp)
		if bad := x.body[0] == 'f' || x.body[0] == 'n'; bad != (err != nil) {
			t.Errorf("%.5s: %v", x.body, err)
		}
		if (resp.Owner != nil) != x.lends {
			t.Errorf("%.5s: lent %t", x.body, resp.Owner != nil)
		}
		if got := bytes.Count(resp.Body, []byte("o")) + bytes.Count(resp.View, []byte("o")); err == nil && got != len(x.body) {
			t.Errorf("%.5s: %d bytes", x.body, got)
		}
		if x.lends && functions.Released() != before {
			t.Error("given back before it was sent")
		}
		resp.Reset()
		if got := functions.Released() - before; got != 1 {
			t.Errorf("%.5s: given back %d times", x.body, got)
		}
	}
}

func TestWorkersAreClosed(t *testing.T) {
	before := functions.Closed()
	if err := open(t, "keep").Close(t.Context()); err != nil || functions.Closed() != before+1 {
		t.Errorf("closed %d, %v", functions.Closed()-before, err)
	}
}

func TestInvokeDoesNotAllocate(t *testing.T) {
	for _, name := range []string{"echo", "status", "fixed", "headers"} {
		in := open(t, name)
		ev := &event.Event{
			Source: &event.Source{Kind: "http", Name: "web"}, ID: []byte("i"), Time: time.Now(), Body: make([]byte, 1<<10),
			Headers: event.Pairs{{Key: "X-Ask", Value: []byte("asked")}},
		}
		resp := &event.Response{Takes: event.TakesViews}
		if n := testing.AllocsPerRun(1000, func() {
			resp.Reset()
			if err := in.Invoke(context.Background(), ev, resp); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per event", name, n)
		}
		resp.Reset()
		if err := in.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkInvoke(b *testing.B) {
	in := open(b, "status")
	defer in.Close(context.Background())
	ev, resp := &event.Event{Body: make([]byte, 1<<10)}, &event.Response{}
	b.ReportAllocs()
	for b.Loop() {
		resp.Reset()
		if err := in.Invoke(context.Background(), ev, resp); err != nil {
			b.Fatal(err)
		}
	}
}
