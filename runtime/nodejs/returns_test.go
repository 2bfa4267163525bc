package nodejs

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// One worker answers every form: the body of the event is the expression to
// give.
const evaluate = `
const { Response, HttpError } = require('myelin');
const { Readable } = require('stream');
const kept = [];
class Odd { constructor() { this.a = 1 } }
function* parts() { yield 'a'; yield Buffer.from('b') }
async function* later() { yield 'a'; await null; yield 'b' }
const loop = {}; loop.loop = loop;
exports.handler = %s(context, event) => { RETURN }
`

// forms are the ways in which a handler can give the same value.
var forms = map[string]string{
	"returned": strings.NewReplacer("%s", "", "RETURN", "return eval(String(event.body))").Replace(evaluate),
	"async":    strings.NewReplacer("%s", "async ", "RETURN", "await null; return eval(String(event.body))").Replace(evaluate),
	"callback": strings.NewReplacer("%s", "", "RETURN", "context.callback(eval(String(event.body)))").Replace(evaluate),
}

func TestReturnForms(t *testing.T) {
	for form, code := range forms {
		t.Run(form, func(t *testing.T) {
			in, _ := fixture{code: code}.open(t)
			for _, c := range []struct {
				expr   string
				status int
				ctype  string
				body   string
			}{
				{`"text"`, 200, "text/plain", "text"},
				{`new String("text")`, 200, "text/plain", "text"},
				{`"\u00fcml\u00e4ut \u65e5"`, 200, "text/plain", "ümläut 日"},
				{`"\ud800"`, 200, "text/plain", "\ufffd"},
				{`Buffer.from([0, 255])`, 200, "text/plain", "\x00\xff"},
				{`new Uint16Array([0x4141]).subarray(0)`, 200, "text/plain", "AA"},
				{`new Uint8Array([65]).buffer`, 200, "text/plain", "A"},
				{`null`, 200, "text/plain", ""},
				{`[201, "made"]`, 201, "text/plain", "made"},
				{`[202, {a: 1}]`, 202, "application/json", `{"a":1}`},
				{`[404, null]`, 404, "text/plain", ""},
				{`[1, 2, 3]`, 200, "application/json", "[1,2,3]"},
				{`["a", "b"]`, 200, "application/json", `["a","b"]`},
				{`({a: [1, null]})`, 200, "application/json", `{"a":[1,null]}`},
				{`[]`, 200, "application/json", "[]"},
				{`42`, 200, "application/json", "42"},
				{`true`, 200, "application/json", "true"},
				{`new Odd()`, 200, "application/json", `{"a":1}`},
				{`new Date(0)`, 200, "application/json", `"1970-01-01T00:00:00.000Z"`},
				{`parts()`, 200, "text/plain", "ab"},
				{`later()`, 200, "text/plain", "ab"},
				{`Readable.from(["x", "y"])`, 200, "text/plain", "xy"},
				{`new context.Response("b", {"X-I": 5}, "text/x", 203)`, 203, "text/x", "b"},
				{`new Response({a: 1})`, 200, "application/json", `{"a":1}`},
				{`new Response(Buffer.from("raw"))`, 200, "text/plain", "raw"},
				{`new Response("cmF3", null, "text/y", 200, "base64")`, 200, "text/y", "raw"},
			} {
				resp, err := call(t, in, &event.Event{Body: []byte(c.expr)})
				if err != nil || resp.Status != c.status || resp.ContentType != c.ctype || string(resp.Body) != c.body {
					t.Errorf("%s: %d %q %q, %v", c.expr, resp.Status, resp.ContentType, resp.Body, err)
				}
			}
		})
	}
}

func TestFailures(t *testing.T) {
	for form, code := range forms {
		t.Run(form, func(t *testing.T) {
			in, logs := fixture{code: code}.open(t)
			for expr, want := range map[string]string{
				`() => 1`:                              "a handler cannot give function",
				`Symbol("x")`:                          "a handler cannot give symbol",
				`10n`:                                  "a handler cannot give bigint",
				`loop`:                                 "circular structure",
				`[99, "x"]`:                            "status must be an integer from 100 to 599, not 99",
				`new Response("", null, null, "200")`:  "status must be",
				`new Response("", {"A": "b\r\nC: d"})`: "cannot hold a line break",
				`null.x`:                               "Error in handler: TypeError",
				`(() => { throw "bare" })()`:           "Error in handler: bare",
				`(() => { throw null })()`:             "Error in handler: null",
				`(() => { throw {code: 5} })()`:        `Error in handler: {"code":5}`,
				`(() => { throw {toString() { throw 1 }, toJSON() { throw 1 }} })()`: "cannot be shown",
				`new Error("given")`: "Error in handler: Error: given",
				`(async function*() { yield "a"; throw new Error("midway") })()`: "midway",
				`(async function*() { yield 5 })()`:                              "neither string nor bytes",
			} {
				_, err := call(t, in, &event.Event{Body: []byte(expr)})
				var failed *event.Error
				if !errors.As(err, &failed) || failed.Status != 500 || !strings.Contains(failed.Message, want) {
					t.Errorf("%s: %v", expr, err)
				}
			}
			_, err := call(t, in, &event.Event{Body: []byte(`(() => { throw new HttpError(404, 'no such thing') })()`)})
			var failed *event.Error
			if !errors.As(err, &failed) || failed.Status != 404 || failed.Message != "no such thing" {
				t.Errorf("error with a status: %v", err)
			}
			closeNow(t, in) // its last log records are read by now
			if !strings.Contains(logs.String(), "TypeError") || !strings.Contains(logs.String(), "handler.js") {
				t.Errorf("no stack in the function's log:\n%s", logs)
			}
		})
	}
}

func TestResponseHeaders(t *testing.T) {
	in, _ := fixture{code: forms["returned"]}.open(t)
	resp, err := call(t, in, &event.Event{Body: []byte(`new Response("", {"X-Latin": "\u00fc", "X-Wide": "\u65e5", "X-Int": 5, "Set-Cookie": ["a", "b"]})`)})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range resp.Header {
		got[h.Key] += h.Value
	}
	for k, want := range map[string]string{"X-Latin": "\xfc", "X-Wide": "日", "X-Int": "5", "Set-Cookie": "ab"} {
		if got[k] != want {
			t.Errorf("%s: %q, want %q", k, got[k], want)
		}
	}
}

func TestEventAttributes(t *testing.T) {
	in, _ := fixture{code: forms["returned"], handler: "handler.js:handler"}.open(t)
	for expr, want := range map[string]string{
		`event.method + event.path + event.url`:                                           "PUT/p/p?a=1",
		`[event.id, event.contentType, event.content_type].join()`:                        "i1,text/x,text/x",
		`JSON.stringify(event.headers)`:                                                   `{"X-A":"1","X-Bin":"ÿ","__proto__":"p"}`,
		`event.getHeader('x-a') + event.getHeader('none')`:                                "1undefined",
		`JSON.stringify(event.fields)`:                                                    `{"a":"1"}`,
		`event.timestamp.toISOString()`:                                                   "2023-11-14T22:13:20.000Z",
		`event.trigger.kind + event.trigger.name`:                                         "kafkak1",
		`JSON.stringify([event.shardId, event.shard_id, event.numShards, event.offset])`:  "[2,2,4,99]",
		`JSON.stringify([event.topic, String(event.key), event.type, event.lastInBatch])`: `["top","key","",false]`,
		`String(event.size === event.body.length && Buffer.isBuffer(event.body))`:         "true",
		`String(event.bodyView.equals(event.body))`:                                       "true",
		`JSON.parse(JSON.stringify(event)).url`:                                           "/p?a=1",
		`require('util').inspect(event).slice(0, 5)`:                                      "Event",
		`[context.workerId, context.triggerName, context.trigger.kind].join()`:            "0,web,http",
		`event.extra = 5, String(event.extra)`:                                            "5",
		`event.body = 'changed', event.body`:                                              "changed",
		`context.userData = {x: 'set'}, context.userData.x`:                               "set",
		`kept.push(event), 'kept'`:                                                        "kept",
	} {
		checkExpr(t, in, expr, want)
	}
	ce := &event.Event{Body: []byte(`JSON.stringify([event.type, event.typeVersion, event.version])`), Headers: event.Pairs{{Key: "Ce-Type", Value: []byte("t")}, {Key: "ce-specversion", Value: []byte("1.0")}, {Key: "ce-eventtypeversion", Value: []byte("2")}}}
	if resp, err := call(t, in, ce); err != nil || string(resp.Body) != `["t","2","1.0"]` {
		t.Errorf("a CloudEvent: %s, %v", resp.Body, err)
	}
	checkExpr(t, in, `context.userData.x`, "set")
	checkExpr(t, in, `String(kept[0].body).slice(0, 4) + kept[0].id + kept[0].headers['X-A'] + kept[0].bodyView.length`, "kepti1124")
}

func checkExpr(t *testing.T, in runtime.Instance, expr, want string) {
	t.Helper()
	resp, err := call(t, in, &event.Event{
		Source: &event.Source{Kind: "kafka", Class: "stream", Name: "k1"}, Token: event.Token{Shard: 2, Offset: 99}, Shards: 4,
		ID: []byte("i1"), Time: time.Unix(1700000000, 1000), Method: []byte("PUT"), Path: []byte("/p"), URL: []byte("/p?a=1"),
		ContentType: []byte("text/x"), Key: []byte("key"), Topic: "top", Body: []byte(expr),
		Headers: event.Pairs{{Key: "X-A", Value: []byte("1")}, {Key: "X-Bin", Value: []byte("\xff")}, {Key: "__proto__", Value: []byte("p")}},
		Fields:  event.Pairs{{Key: "a", Value: []byte("1")}},
	})
	if err != nil || string(resp.Body) != want {
		t.Errorf("%s: %q, %v", expr, resp.Body, err)
	}
}

func TestJSONBodies(t *testing.T) {
	code := "exports.handler = (context, event) => `${typeof event.body} ${Buffer.isBuffer(event.body)} ${JSON.stringify(event.json())}`"
	for _, parse := range []bool{false, true} {
		in, _ := fixture{code: code, attrs: map[string]any{"parseJSON": parse}}.open(t)
		want := map[bool]string{false: `object true {"a":[1]}`, true: `object false {"a":[1]}`}[parse]
		resp, err := call(t, in, &event.Event{ContentType: []byte("application/json"), Body: []byte(`{"a": [1]}`)})
		if err != nil || string(resp.Body) != want {
			t.Errorf("%q, %v", resp.Body, err)
		}
		if _, err := call(t, in, &event.Event{ContentType: []byte("application/json"), Body: []byte(`{"a`)}); err == nil {
			t.Error("what is no JSON was parsed")
		}
	}
}

func TestHugeBodies(t *testing.T) {
	for name, give := range map[string]string{"body": "event.body", "view": "event.bodyView"} {
		t.Run(name, func(t *testing.T) {
			code := "exports.handler = async (context, event) => event.bodyView[0] === 101 ? " + give + " : Buffer.alloc(Number(event.body), 'x')"
			in, _ := fixture{code: code}.open(t)
			resp, err := call(t, in, &event.Event{Body: []byte("100000000")})
			if err != nil || len(resp.Body) != 100_000_000 {
				t.Fatalf("%d bytes, %v", len(resp.Body), err)
			}
			for _, n := range []int{100, 5000, 100_000, 3_000_000, 100_000_000} {
				body := []byte(strings.Repeat("e", n-1) + "\xff")
				resp, err = call(t, in, &event.Event{Body: body})
				if err != nil || string(resp.Body) != string(body) {
					t.Fatalf("echo of %d bytes: %d, %v", n, len(resp.Body), err)
				}
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
}
