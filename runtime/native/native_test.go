package native_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	nuc "github.com/myelin-run/myelin/runtime/native/nuclio"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/sdk/nuclio"
)

func open(t testing.TB, f native.Function, log *bytes.Buffer) runtime.Instance {
	t.Helper()
	inst, err := tryOpen(f, log)
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

func tryOpen(f native.Function, log *bytes.Buffer) (runtime.Instance, error) {
	rt, err := native.Factory(f).New(runtime.Settings{
		Function:    function.Config{Metadata: function.Metadata{Name: "f"}},
		FunctionLog: slog.New(slog.NewTextHandler(log, nil)),
	}, nil)
	if err != nil {
		return nil, err
	}
	return rt.Open(context.Background(), runtime.Worker{ID: 7, TriggerKind: "http", TriggerName: "web"})
}

func invoke(inst runtime.Instance, ev *event.Event) (event.Response, error) {
	var resp event.Response
	if ev.Source == nil {
		ev.Source = &event.Source{Kind: "http", Class: "sync", Name: "web"}
	}
	err := inst.Invoke(context.Background(), ev, &resp)
	return resp, err
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name        string
		give        any
		status      int
		body, ctype string
	}{
		{"string", "hi", 0, "hi", ""},
		{"bytes", []byte{0, 255}, 0, "\x00\xff", ""},
		{"nil", nil, 0, "", ""},
		{"number", 42, 0, "42", ""},
		{"object", map[string]int{"a": 1}, 0, `{"a":1}`, "application/json"},
		{"empty list", []int{}, 0, `[]`, "application/json"},
		{"response", &myelin.Response{Status: 201, Body: []byte("x"), ContentType: "text/x"}, 201, "x", "text/x"},
		{"no response", (*myelin.Response)(nil), 0, "", ""},
	} {
		inst := open(t, native.Of(func(*myelin.Context, *myelin.Event) (any, error) { return c.give, nil }, nil), new(bytes.Buffer))
		resp, err := invoke(inst, &event.Event{})
		if err != nil || resp.Status != c.status || string(resp.Body) != c.body || resp.ContentType != c.ctype {
			t.Errorf("%s: %d %q %q, %v", c.name, resp.Status, resp.Body, resp.ContentType, err)
		}
	}
	inst := open(t, native.Of(func(*myelin.Context, *myelin.Event) (any, error) { return make(chan int), nil }, nil), new(bytes.Buffer))
	if _, err := invoke(inst, &event.Event{}); err == nil || !strings.Contains(err.Error(), "chan int") {
		t.Errorf("a channel as an answer: %v", err)
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		fn     func() error
		status int
		text   string
	}{
		{"error", func() error { return errors.New("no luck") }, 0, "no luck"},
		{"status", func() error { return myelin.Errorf(404, "no %s", "row") }, 404, "no row"},
		{"panic", func() error { panic("planted") }, 500, "function panicked: planted"},
		{"nil pointer", func() error { m := (*myelin.Response)(nil); m.Body = nil; return nil }, 500, "nil pointer"},
	} {
		inst := open(t, native.Of(func(*myelin.Context, *myelin.Event, *myelin.Response) error { return c.fn() }, nil), new(bytes.Buffer))
		_, err := invoke(inst, &event.Event{})
		var said *event.Error
		if err == nil || !strings.Contains(err.Error(), c.text) || c.status != 0 && (!errors.As(err, &said) || said.Status != c.status) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestInitContext(t *testing.T) {
	f := native.Of(func(ctx *myelin.Context, _ *myelin.Event) (any, error) {
		return fmt.Sprint(ctx.UserData, ctx.WorkerID, ctx.FunctionName, ctx.TriggerKind, ctx.TriggerName), nil
	}, func(ctx *myelin.Context) error { ctx.UserData = "db"; return nil })
	if resp, err := invoke(open(t, f, new(bytes.Buffer)), &event.Event{}); err != nil || string(resp.Body) != "db7fhttpweb" && string(resp.Body) != "db 7 f http web" {
		t.Errorf("%q, %v", resp.Body, err)
	}
	for _, hook := range []func(*myelin.Context) error{
		func(*myelin.Context) error { return errors.New("no database") },
		func(*myelin.Context) error { panic("no database") },
	} {
		if _, err := tryOpen(native.Of(func(*myelin.Context, *myelin.Event) (any, error) { return nil, nil }, hook), new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "no database") {
			t.Errorf("failing init: %v", err)
		}
	}
}

// What a function logs goes to its log, and to the caller from the level that
// the caller asked for.
func TestLogs(t *testing.T) {
	var log bytes.Buffer
	inst := open(t, native.Of(func(ctx *myelin.Context, _ *myelin.Event) (any, error) {
		l := ctx.Logger.With("a", 1).WithGroup("g").With("b", 2)
		l.Debug("quiet", "c", 3)
		l.Warn("loud")
		return nil, nil
	}, nil), &log)
	resp, err := invoke(inst, &event.Event{LogAsked: true, LogLevel: slog.LevelDebug})
	if err != nil || len(resp.Logs) != 2 {
		t.Fatalf("%v, %v", resp.Logs, err)
	}
	if got := fmt.Sprint(resp.Logs[0].Message, resp.Logs[0].With); got != "quiet[a=1 g.b=2 c=3]" {
		t.Errorf("captured %s", got)
	}
	if s := log.String(); strings.Contains(s, "quiet") || !strings.Contains(s, "loud") || !strings.Contains(s, "worker=7") {
		t.Errorf("log: %s", s)
	}
	if resp, _ := invoke(inst, &event.Event{}); len(resp.Logs) != 0 {
		t.Errorf("captured without being asked: %v", resp.Logs)
	}
}

func TestNuclioFunctions(t *testing.T) {
	var log bytes.Buffer
	handler := func(ctx *nuclio.Context, ev nuclio.Event) (interface{}, error) {
		ctx.Logger.InfoWith("got it", "path", ev.GetPath())
		switch ev.GetPath() {
		case "/missing":
			return nil, nuclio.NewErrNotFound("nothing there")
		case "/gone":
			return nil, nuclio.ErrGone
		case "/wrapped":
			return nil, fmt.Errorf("outer: %w", nuclio.WrapErrConflict(errors.New("inner")))
		}
		return nuclio.Response{StatusCode: 202, ContentType: "text/plain", Headers: map[string]interface{}{"X-N": 5, "X-S": "s"},
			Body: fmt.Appendf(nil, "%s %v %s %d %s %v", ev.GetBody(), ctx.UserData, ev.GetHeaderString("a"), ev.GetShardID(), ev.GetTriggerInfo().GetKind(), ev.GetField("none"))}, nil
	}
	inst := open(t, nuc.Of(handler, func(ctx *nuclio.Context) error { ctx.UserData = 3; return nil }), &log)
	resp, err := invoke(inst, &event.Event{Path: []byte("/"), Body: []byte("b"), Headers: event.Pairs{{Key: "A", Value: []byte("v")}}})
	if err != nil || resp.Status != 202 || string(resp.Body) != "b 3 v -1 http <nil>" || len(resp.Header) != 2 {
		t.Errorf("%+v %q, %v", resp, resp.Body, err)
	}
	if !strings.Contains(log.String(), `msg="got it" worker=7 path=/`) {
		t.Errorf("log: %s", log.String())
	}
	for path, status := range map[string]int{"/missing": 404, "/gone": 410, "/wrapped": 409} {
		_, err := invoke(inst, &event.Event{Path: []byte(path)})
		var said *event.Error
		if !errors.As(err, &said) || said.Status != status {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestInvokeDoesNotAllocate(t *testing.T) {
	inst := open(t, native.Of(func(_ *myelin.Context, ev *myelin.Event, out *myelin.Response) error {
		out.Body = append(out.Body, ev.Body...)
		return nil
	}, nil), new(bytes.Buffer))
	ev, resp := &event.Event{Body: []byte("body")}, &event.Response{}
	if n := testing.AllocsPerRun(1000, func() {
		resp.Reset()
		if err := inst.Invoke(context.Background(), ev, resp); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per event", n)
	}
}
