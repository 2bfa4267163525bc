package java

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

func TestReturns(t *testing.T) {
	in, logs := fixture{handler: "Cases$Returns"}.open(t)
	for _, c := range []struct {
		give, body, kind string
		status           int
	}{
		{"null", "", "text/plain", 200}, {"string", "grüße", "text/plain", 200}, {"builder", "built", "text/plain", 200},
		{"bytes", "\x01\x02\xff", "text/plain", 200}, {"buffer", "buffer", "text/plain", 200}, {"direct", "abc", "text/plain", 200},
		{"map", `{"a":1,"b":[null,true,1.5,"q\"\n"],"c":{}}`, "application/json", 200},
		{"list", `[1,"two",[3],"RED"]`, "application/json", 200}, {"number", "42", "application/json", 200},
		{"record", `{"x":1,"y":"é"}`, "application/json", 200}, {"nan", "null", "application/json", 200},
		{"response", "[1]", "application/json", 201}, {"typed", "{}", "application/problem+json", 200}, {"nuclio", "nö", "text/x", 404},
		{"future", "later", "text/plain", 200}, {"in stream", "streamed", "text/plain", 200}, {"stream", "abc", "text/plain", 200},
		{"written", "onetwo", "text/plain", 200}, {"nothing written", "", "text/plain", 200},
		{"deep", "200 levels deep", "", 500}, {"object", "cannot give a java.lang.Object", "", 500}, {"nested", "another response", "", 500},
		{"bad status", "status must be", "", 500}, {"bad header", "line break", "", 500}, {"failed future", "java.io.IOException: planted", "", 500},
		{"throwable", "gone", "", 410}, {"http error", "no such thing", "", 422}, {"checked", "Exception in handler: java.io.IOException: planted", "", 500},
		{"stack", "StackOverflowError", "", 500}, {"stubborn", "Cases$Stubborn", "", 500}, {"broken early", "early", "", 418},
	} {
		resp, err := call(t, in, &event.Event{Body: []byte(c.give)})
		var failed *event.Error
		switch {
		case c.kind == "" && (!errors.As(err, &failed) || failed.Status != c.status || !strings.Contains(failed.Message, c.body)):
			t.Errorf("%s: %v", c.give, err)
		case c.kind != "" && (err != nil || resp.Status != c.status || string(resp.Body) != c.body || resp.ContentType != c.kind):
			t.Errorf("%s: %d %q %s, %v", c.give, resp.Status, resp.Body, resp.ContentType, err)
		}
	}
	resp, err := call(t, in, &event.Event{Body: []byte("response")})
	if err != nil || len(resp.Header) != 3 || resp.Header[0].Key != "X-A" || resp.Header[0].Value != "5" || resp.Header[2].Value != "2" {
		t.Errorf("%v, %v", resp.Header, err)
	}
	if !strings.Contains(logs.String(), "Cases.java:") {
		t.Errorf("no stack in\n%s", logs)
	}
}

func TestEvent(t *testing.T) {
	in, _ := fixture{handler: "Cases$Show"}.open(t)
	ev := &event.Event{ID: []byte("id"), Method: []byte("PUT"), Path: []byte("/p"), URL: []byte("/p?q=1"), ContentType: []byte("a/b"), Key: []byte("key"),
		Topic: "topic", Shards: 7, Body: []byte("123"), Time: time.UnixMilli(1_700_000_000_123), Token: event.Token{Shard: 3, Offset: 99},
		Headers: event.Pairs{{Key: "X-Num", Value: []byte("12")}, {Key: "X-Num", Value: []byte("13")}}, Fields: event.Pairs{{Key: "n", Value: []byte("5")}},
		Source: &event.Source{Kind: "kafka", Class: "async", Name: "mine"}}
	resp, err := call(t, in, ev)
	want := `{"id":"id","trigger":["kafka","async","mine"],"type":"a/b","header":["12",12,"12",null,0],"fields":[{"n":"5"},5,null],` +
		`"place":["PUT","/p","/p?q=1","topic","key",99,3,7],"time":1700000000123,"rest":"false3"}`
	if err != nil || string(resp.Body) != want {
		t.Errorf("%s, %v", resp.Body, err)
	}
	ce := event.Pairs{{Key: "X-Num", Value: []byte("1")}, {Key: "Ce-Type", Value: []byte("t")}, {Key: "ce-specversion", Value: []byte("1.0")}}
	if resp, err = call(t, in, &event.Event{Headers: ce}); err != nil || !strings.Contains(string(resp.Body), `"rest":"t1.0false`) {
		t.Errorf("a CloudEvent: %s, %v", resp.Body, err)
	}
	if resp, err = call(t, in, &event.Event{Headers: event.Pairs{{Key: "X-Num", Value: []byte("1")}}}); err != nil || !strings.Contains(string(resp.Body), `,0,-1,0],"time"`) {
		t.Errorf("without shards: %s, %v", resp.Body, err)
	}
}

// A stream that fails midway, and one whose reader leaves, cost nobody else anything.
func TestStreams(t *testing.T) {
	in, _ := fixture{handler: "Cases$Returns"}.open(t)
	resp := stream(t, in, "broken late")
	if b, err := io.ReadAll(resp.Stream); err == nil || string(b) != "begun" {
		t.Errorf("%q, %v", b, err)
	}
	_ = resp.Stream.Close()
	resp = stream(t, in, "written")
	if b, err := io.ReadAll(resp.Stream); err != nil || string(b) != "onetwo" {
		t.Errorf("%q, %v", b, err)
	}
	if err := resp.Stream.Close(); err != nil {
		t.Error(err)
	}
	if resp, err := call(t, in, &event.Event{Body: []byte("string")}); err != nil || string(resp.Body) != "grüße" {
		t.Errorf("%q, %v", resp.Body, err)
	}
}

// stream runs one event for a caller that takes streams.
func stream(t testing.TB, in runtime.Instance, body string) *event.Response {
	t.Helper()
	resp := &event.Response{Takes: event.TakesStreams}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(t.Context(), &event.Event{Body: []byte(body)}, resp) }()
	select {
	case err := <-done:
		if err != nil || resp.Stream == nil {
			t.Fatalf("no stream: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("no answer")
	}
	return resp
}
