package processor_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/trigger/letter"
)

// The event of a letter runs again as it came, and what becomes of it is told.
func TestRedrive(t *testing.T) {
	seen := make(chan myelin.Event, 8)
	f := native.Of(func(c *myelin.Context, ev *myelin.Event, out *myelin.Response) error {
		seen <- *ev.Clone()
		if string(ev.Body) == "teapot" {
			out.Status = 418
			return nil
		}
		return echoed(c, ev, out)
	}, nil)
	r := start(t, config(t, ""), f)
	again := func(trigger, body string) (int, letter.Outcome, string) {
		t.Helper()
		l := letter.Letter{Trigger: trigger, Kind: "kafka", Class: "stream", From: letter.Place{Topic: "orders", Shard: 3, Offset: 17},
			Event: letter.Event{ID: "e1", Body: letter.Bytes(body), Key: letter.Bytes("k"), Headers: []letter.Header{{Key: "h", Value: letter.Bytes("v")}}}}
		text, err := letter.Encode(&l)
		if err != nil {
			t.Fatal(err)
		}
		code, answer, err := post(r.admin+"/letters", string(text))
		if err != nil {
			t.Fatal(err)
		}
		var done letter.Outcome
		_ = json.Unmarshal([]byte(answer), &done)
		return code, done, answer
	}
	for body, want := range map[string]letter.Outcome{"World": {Status: 200}, "fail": {Status: 500, Error: "no luck"}, "teapot": {Status: 418, Error: "answered with status 418: "}} {
		if code, done, _ := again("default-http", body); code != 200 || done.Status != want.Status || done.Error != want.Error {
			t.Errorf("%s: %d %+v, want %+v", body, code, done, want)
		}
		ev := <-seen
		if string(ev.Body) != body || string(ev.ID) != "e1" || string(ev.Key) != "k" || string(ev.Header("H")) != "v" || ev.Topic != "orders" ||
			ev.Token.Shard != 3 || ev.Token.Offset != 17 || ev.Source.Kind != "kafka" || ev.Source.Class != "stream" || ev.Source.Name != "default-http" {
			t.Errorf("the function saw %+v", ev)
		}
	}
	if code, done, _ := again("former", "x"); code != 200 || done.Status != 200 {
		t.Errorf("a trigger that is gone: %d %+v", code, done)
	}
	if code, text, _ := post(r.admin+"/letters", `{"version":9}`); code != 400 || !strings.Contains(text, "version 9") {
		t.Errorf("not a letter: %d %s", code, text)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}
