package python

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
)

// both runs a test with the compiled and the pure worker.
func both(t *testing.T, test func(*testing.T, map[string]any)) {
	for _, native := range []bool{true, false} {
		t.Run(fmt.Sprintf("native=%v", native), func(t *testing.T) {
			test(t, map[string]any{"native": native})
		})
	}
}

// call runs one event and does not wait for ever.
func call(t testing.TB, in runtime.Instance, ev *event.Event) (*event.Response, error) {
	t.Helper()
	resp := &event.Response{}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), ev, resp) }()
	select {
	case err := <-done:
		return resp, err
	case <-time.After(time.Minute):
		t.Fatal("no answer")
		return nil, nil
	}
}

// One worker answers every form: the body of the event is the Python
// expression to return.
const evaluate = `
import asyncio
from nuclio_sdk import Response, QualifiedOffset
import nuclio_sdk, myelin
kept = []
async def later(value):
    await asyncio.sleep(0)
    return value
def gen():
    yield 'a'
    yield b'b'
class Odd: pass
class Rude(Exception):
    def __str__(self):
        raise SystemExit
def handler(context, event):
    return eval(event.body.decode())
`

func TestReturnForms(t *testing.T) {
	both(t, func(t *testing.T, attrs map[string]any) {
		in, logs := fixture{code: evaluate, attrs: attrs}.open(t)
		for _, c := range []struct {
			expr   string
			status int
			ctype  string
			body   string
		}{
			{`"text"`, 200, "text/plain", "text"},
			{`"ümläut \ud800"`, 200, "text/plain", `ümläut \ud800`},
			{`b"\x00\xff"`, 200, "text/plain", "\x00\xff"},
			{`bytearray(b"ab")`, 200, "text/plain", "ab"},
			{`memoryview(b"ab")`, 200, "text/plain", "ab"},
			{`None`, 200, "text/plain", ""},
			{`(201, "made")`, 201, "text/plain", "made"},
			{`(202, {"a": 1})`, 202, "application/json", `{"a": 1}`},
			{`(404, None)`, 404, "text/plain", ""},
			{`(1, 2, 3)`, 200, "application/json", "[1, 2, 3]"},
			{`{"a": [1, None]}`, 200, "application/json", `{"a": [1, null]}`},
			{`[]`, 200, "application/json", "[]"},
			{`[1, "b"]`, 200, "application/json", `[1, "b"]`},
			{`42`, 200, "application/json", "42"},
			{`True`, 200, "application/json", "true"},
			{`1.5`, 200, "application/json", "1.5"},
			{`gen()`, 200, "text/plain", "ab"},
			{`later("awaited")`, 200, "text/plain", "awaited"},
			{`context.Response(body="b", status_code=203, content_type="text/x", headers={"X-I": 5})`, 203, "text/x", "b"},
			{`Response(body={"a": 1})`, 200, "application/json", `{"a": 1}`},
			{`myelin.Response(body=b"raw")`, 200, "text/plain", "raw"},
		} {
			resp, err := call(t, in, &event.Event{Body: []byte(c.expr)})
			if err != nil || resp.Status != c.status || resp.ContentType != c.ctype || string(resp.Body) != c.body {
				t.Errorf("%s: %d %q %q, %v", c.expr, resp.Status, resp.ContentType, resp.Body, err)
			}
		}
		for expr, want := range map[string]string{
			`Odd()`:                                "a handler cannot return Odd",
			`{"a": Odd()}`:                         "not JSON serializable",
			`(99, "x")`:                            "status must be an integer from 100 to 599, not 99",
			`(70000, "x")`:                         "status must be",
			`Response(status_code="200")`:          "status must be",
			`1/0`:                                  `Exception caught in handler - "division by zero": Traceback`,
			`__import__("sys").exit("bye")`:        "bye",
			`later(1/0)`:                           "division by zero",
			`exec("raise Rude()")`:                 "Rude, and it cannot be shown",
			`Response(headers={"A": "b\r\nC: d"})`: "cannot hold a line break",
		} {
			_, err := call(t, in, &event.Event{Body: []byte(expr)})
			var failed *event.Error
			if !errors.As(err, &failed) || failed.Status != 500 || !strings.Contains(failed.Message, want) {
				t.Errorf("%s: %v", expr, err)
			}
		}
		_, err := call(t, in, &event.Event{Body: []byte(`exec("raise nuclio_sdk.NotFound('no such thing')")`)})
		var failed *event.Error
		if !errors.As(err, &failed) || failed.Status != 404 || failed.Message != "no such thing" {
			t.Errorf("exception with a status: %v", err)
		}
		closeNow(t, in) // its last log records are read by now
		if !strings.Contains(logs.String(), "ZeroDivisionError") || !strings.Contains(logs.String(), "main.py") {
			t.Errorf("no traceback in the function's log:\n%s", logs)
		}
	})
}

func TestResponseHeaders(t *testing.T) {
	both(t, func(t *testing.T, attrs map[string]any) {
		in, _ := fixture{code: evaluate, attrs: attrs}.open(t)
		for range 2 {
			resp, err := call(t, in, &event.Event{Body: []byte(`Response(headers={"X-Latin": "ü", "X-Wide": "日", "X-Int": 5, "X-B": b"\xff"})`)})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, h := range resp.Header {
				got[h.Key] = h.Value
			}
			for k, want := range map[string]string{"X-Latin": "\xfc", "X-Wide": "日", "X-Int": "5", "X-B": "\xff"} {
				if got[k] != want {
					t.Errorf("%s: %q, want %q", k, got[k], want)
				}
			}
		}
	})
}

func TestEventAttributes(t *testing.T) {
	both(t, func(t *testing.T, attrs map[string]any) {
		in, _ := fixture{code: evaluate, attrs: attrs}.open(t)
		for expr, want := range map[string]string{
			`event.method + event.path + event.url`:                                 "PUT/p/p?a=1",
			`event.id + " " + event.content_type`:                                   "i1 text/x",
			`repr(sorted(event.headers.items()))`:                                   `[('X-A', '1'), ('X-Bin', 'ÿ')]`,
			`event.get_header("x-a") + str(event.get_header("none"))`:               "1None",
			`repr(event.fields)`:                                                    `{'a': '1'}`,
			`str(event.timestamp)`:                                                  "2023-11-14 22:13:20.000001",
			`event.trigger.kind + event.trigger.name`:                               "kafkak1",
			`repr((event.shard_id, event.num_shards, event.offset))`:                "(2, 4, 99)",
			`repr((event.topic, event.key, event.type, event.last_in_batch))`:       `('top', b'key', '', False)`,
			`str(event.size == len(event.body))`:                                    "True",
			`event.to_json()[:9]`:                                                   `{"body": `,
			`repr(isinstance(event, nuclio_sdk.Event))`:                             "True",
			`str(QualifiedOffset.from_event(event).partition)`:                      "2",
			`repr((context.worker_id, context.trigger_name, context.trigger.kind))`: "(0, 'web', 'http')",
			`exec("event.extra = 5") or str(event.extra)`:                           "5",
			`exec("event.body = b'changed'") or event.body`:                         "changed",
			`context.platform.call_function("f", event)`:                            "!cannot be called here",
			`kept.append(event) or "kept"`:                                          "kept",
		} {
			checkExpr(t, in, expr, want)
		}
		ce := &event.Event{Body: []byte(`repr((event.type, event.type_version, event.version))`), Headers: event.Pairs{{Key: "Ce-Type", Value: []byte("t")}, {Key: "ce-specversion", Value: []byte("1.0")}, {Key: "ce-eventtypeversion", Value: []byte("2")}}}
		if resp, err := call(t, in, ce); err != nil || string(resp.Body) != "('t', '2', '1.0')" {
			t.Errorf("a CloudEvent: %s, %v", resp.Body, err)
		}
		checkExpr(t, in, `kept[0].body[:4].decode() + kept[0].id + kept[0].headers["X-A"]`, "kepti11")
	})
}

func checkExpr(t *testing.T, in runtime.Instance, expr, want string) {
	t.Helper()
	resp, err := call(t, in, &event.Event{
		Source: &event.Source{Kind: "kafka", Class: "stream", Name: "k1"}, Token: event.Token{Shard: 2, Offset: 99}, Shards: 4,
		ID: []byte("i1"), Time: time.Unix(1700000000, 1000), Method: []byte("PUT"), Path: []byte("/p"), URL: []byte("/p?a=1"),
		ContentType: []byte("text/x"), Key: []byte("key"), Topic: "top", Body: []byte(expr),
		Headers: event.Pairs{{Key: "X-A", Value: []byte("1")}, {Key: "X-Bin", Value: []byte("\xff")}},
		Fields:  event.Pairs{{Key: "a", Value: []byte("1")}},
	})
	if text, fails := strings.CutPrefix(want, "!"); fails {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", expr, err)
		}
		return
	}
	if err != nil || string(resp.Body) != want {
		t.Errorf("%s: %q, %v", expr, resp.Body, err)
	}
}

func TestBodies(t *testing.T) {
	code := "def handler(context, event):\n    return repr(event.body)\n"
	both(t, func(t *testing.T, attrs map[string]any) {
		for _, c := range []struct{ decode, ctype, body, want string }{
			{"", "application/json", `{"a": [1]}`, "{'a': [1]}"},
			{"", "application/json", `{"a"`, `b'{"a"'`},
			{"", "application/json; charset=utf-8", `{}`, `b'{}'`},
			{"", "text/plain", "\xff", `b'\xff'`},
			{"true", "text/plain", "text", `'text'`},
			{"true", "text/plain", "\xff", `b'\xff'`},
			{"true", "application/json", `[1]`, `[1]`},
		} {
			var env []function.EnvVar
			if c.decode != "" {
				env = append(env, function.EnvVar{Name: "NUCLIO_PYTHON_DECODE_EVENT_STRINGS", Value: c.decode})
			}
			in, _ := fixture{code: code, attrs: attrs, env: env}.open(t)
			resp, err := call(t, in, &event.Event{ContentType: []byte(c.ctype), Body: []byte(c.body)})
			if err != nil || string(resp.Body) != c.want {
				t.Errorf("%+v: %q, %v", c, resp.Body, err)
			}
		}
	})
}

func TestHugeBodies(t *testing.T) {
	code := "def handler(context, event):\n    return event.body if event.body[:1] == b'e' else b'x' * int(event.body)\n"
	both(t, func(t *testing.T, attrs map[string]any) {
		in, _ := fixture{code: code, attrs: attrs}.open(t)
		resp, err := call(t, in, &event.Event{Body: []byte("100000000")})
		if err != nil || len(resp.Body) != 100_000_000 {
			t.Fatalf("%d bytes, %v", len(resp.Body), err)
		}
		body := []byte(strings.Repeat("e", 100_000_000))
		resp, err = call(t, in, &event.Event{Body: body})
		if err != nil || string(resp.Body) != string(body) {
			t.Fatalf("echo of %d bytes, %v", len(resp.Body), err)
		}
		var failed *event.Error
		_, err = call(t, in, &event.Event{Body: []byte("300000000")})
		if !errors.As(err, &failed) || !strings.Contains(failed.Message, "response of 300000000 bytes is above the limit of 268435456") {
			t.Errorf("response above the limit: %v", err)
		}
		_, err = call(t, in, &event.Event{Body: make([]byte, 300_000_000)})
		if !errors.As(err, &failed) || failed.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("event above the limit: %v", err)
		}
	})
}
