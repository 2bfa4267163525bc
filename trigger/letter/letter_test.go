package letter_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

// What is written is read again, byte for byte, text or not.
func TestRoundTrip(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 1, time.UTC)
	ev := &event.Event{ID: []byte("1"), Time: at, Method: []byte("POST"), Path: []byte("/x"), ContentType: []byte("a/b"),
		Key: []byte{}, Body: []byte("\xff\x00\xfe"), Headers: event.Pairs{{Key: "K", Value: []byte("\xfe")}, {Key: "E", Value: []byte("")}, {Key: "K", Value: []byte("again")}}}
	l := &letter.Letter{Version: letter.Version, ID: "l", Reason: letter.Age, Function: "f", FVersion: "2", Trigger: "in", Kind: "kafka", Class: "stream",
		Error: "no\n", Attempts: 3, First: at, Last: at, From: letter.Place{Topic: "t", Shard: 4, Offset: 1 << 40}, Event: letter.Of(ev),
		Answer: &letter.Answer{Status: 200, Body: letter.Bytes("ok")}}
	raw, err := letter.Encode(l)
	if err != nil {
		t.Fatal(err)
	}
	got, err := letter.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, got); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	var back event.Event
	got.Event.To(&back)
	if diff := cmp.Diff(ev.Clone(), back.Clone()); diff != "" {
		t.Errorf("event (-was +is):\n%s", diff)
	}
}

// A letter keeps what it says when its event's memory is used again.
func TestLetterOwnsItsMemory(t *testing.T) {
	body := []byte("body")
	e := letter.Of(&event.Event{Body: body, Headers: event.Pairs{{Key: "K", Value: body}}})
	clear(body)
	if string(e.Body) != "body" || string(e.Headers[0].Value) != "body" {
		t.Errorf("%+v", e)
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{``, `{}`, `{"version": 2}`, `{"version": -1}`, `[]`, `{"version": 1, "event": {"body": 7}}`,
		`{"version": 1, "event": {"body": {"base64": "?"}}}`, `{"version": 1, "event": {"body": {}}}`} {
		if l, err := letter.Decode([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "decode letter: ") {
			t.Errorf("%s: %+v, %v", text, l, err)
		}
	}
}

// Any text is either refused, or means the same when it is written and read
// again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1,"id":"x","event":{"id":"1","body":{"base64":"/w=="},"key":"","headers":[{"key":"a","value":"b"}]}}`))
	f.Add([]byte(`{"version":1,"event":{"body":null},"answer":{"status":-1}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := letter.Decode(text)
		if err != nil {
			return
		}
		raw, err := letter.Encode(l)
		if err != nil {
			return // a year that JSON cannot write
		}
		again, err := letter.Decode(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		second, err := letter.Encode(again)
		if err != nil || string(second) != string(raw) || !reflect.DeepEqual(l.Event.Body, again.Event.Body) {
			t.Errorf("%s became %s (%v)", raw, second, err)
		}
	})
}
