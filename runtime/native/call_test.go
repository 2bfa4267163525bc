package native_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	nuc "github.com/myelin-run/myelin/runtime/native/nuclio"
	"github.com/myelin-run/myelin/runtime/runtimetest"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/sdk/nuclio"
)

// own are the suite's functions that call, in the package's own form.
var own = map[string]native.Function{
	runtimetest.Call: native.Of(func(ctx *myelin.Context, ev *myelin.Event) (any, error) {
		name, body, limit := asked(string(ev.Body))
		c, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		r, err := ctx.Platform.CallFunction(c, name, &myelin.Event{Method: []byte("POST"), URL: []byte("/called?a=b"), ContentType: []byte("text/x-suite"),
			Body: body, Headers: event.Pairs{{Key: "X-Own", Value: []byte("kept")}}})
		if err != nil {
			return "failed: " + err.Error(), nil
		}
		return fmt.Sprintf("%d %d %s %s", r.Status, len(r.Body), r.ContentType, r.Header[0].Value), nil
	}, nil),
	runtimetest.CallMany: native.Of(func(ctx *myelin.Context, ev *myelin.Event) (any, error) {
		n, _ := strconv.Atoi(string(ev.Body))
		var good atomic.Int64
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				r, err := ctx.Platform.CallFunction(ctx, "echo", &myelin.Event{Body: []byte(strconv.Itoa(i))})
				if err == nil && string(r.Body) == strconv.Itoa(i) {
					good.Add(1)
				}
			})
		}
		all.Wait()
		return strconv.FormatInt(good.Load(), 10), nil
	}, nil),
	runtimetest.CallBatch: native.Of(func(ctx *myelin.Context, evs []*myelin.Event) ([]any, error) {
		var answers []any
		for _, ev := range evs {
			r, err := ctx.Platform.CallFunction(ctx, "echo", &myelin.Event{Body: ev.Body})
			if err != nil {
				return nil, err
			}
			answers = append(answers, r.Body)
		}
		return answers, nil
	}, nil),
}

// nuclios are the same as written for Nuclio, which has no timeout of a call.
var nuclios = map[string]native.Function{
	runtimetest.Call: nuc.Of(func(ctx *nuclio.Context, ev nuclio.Event) (interface{}, error) {
		name, body, _ := asked(string(ev.GetBody()))
		if name == "never" {
			time.Sleep(50 * time.Millisecond)
			return "failed: never was not called", nil
		}
		r, err := ctx.Platform.CallFunction(name, &nuclio.MemoryEvent{Method: "POST", Path: "/called?a=b", ContentType: "text/x-suite", Body: body,
			Headers: map[string]interface{}{"X-Own": "kept"}})
		if err != nil {
			return "failed: " + err.Error(), nil
		}
		return fmt.Sprintf("%d %d %s %v", r.StatusCode, len(r.Body), r.ContentType, r.Headers["x-reply"]), nil
	}, nil),
	runtimetest.CallMany: own[runtimetest.CallMany],
}

func asked(body string) (name string, give []byte, limit time.Duration) {
	f := strings.Fields(body)
	n, _ := strconv.Atoi(f[1])
	ms, _ := strconv.Atoi(f[2])
	if ms == 0 {
		ms = 60_000
	}
	return f[0], []byte(strings.Repeat("c", n)), time.Duration(ms) * time.Millisecond
}

func TestCalls(t *testing.T) {
	for form, functions := range map[string]map[string]native.Function{"own": own, "nuclio": nuclios} {
		t.Run(form, func(t *testing.T) {
			fixture := runtimetest.Fixture{Batches: form == "own", Calls: func(t testing.TB, name string, caller runtime.Caller) runtime.Runtime {
				rt, err := native.Factory(functions[name]).New(runtime.Settings{FunctionLog: slog.New(slog.DiscardHandler), Calls: caller}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return rt
			}}
			runtimetest.RunCalls(t, fixture)
		})
	}
}

func TestNoCalls(t *testing.T) {
	inst := open(t, own[runtimetest.Call], new(bytes.Buffer))
	resp, err := invoke(inst, &event.Event{Body: []byte("f 0 0")})
	if err != nil || !strings.Contains(string(resp.Body), "no processor") {
		t.Errorf("%q, %v", resp.Body, err)
	}
}
