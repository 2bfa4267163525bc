package processor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/trigger/letter"
)

// Requests are captured as they came to the function, secrets taken out, and run
// again with what the function answers.
func TestCapturesRequests(t *testing.T) {
	f := native.Of(func(_ *myelin.Context, ev *myelin.Event, out *myelin.Response) error {
		if string(ev.Body) == "fail" {
			return event.Errorf(409, "no luck")
		}
		out.Body = fmt.Appendf(out.Body, "%s %s %s try %d", ev.Method, ev.Field("who"), ev.Body, ev.Tries)
		return nil
	}, nil)
	cfg := config(t, "")
	socket := filepath.Join(t.TempDir(), "a.sock")
	cfg.Admin.Listen = "unix:" + socket
	r := start(t, cfg, f)
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	admin := func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://processor"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	ask := func(want tap.Request) (got tap.Report) {
		t.Helper()
		text, _ := json.Marshal(want)
		code, answer := admin("POST", "/capture", string(text))
		if code != 200 || json.Unmarshal([]byte(answer), &got) != nil {
			t.Fatalf("%d %s", code, answer)
		}
		return got
	}
	want := tap.Request{ID: "a", Spec: tap.Spec{Count: 3}, Left: 1e6}
	ask(want)
	for _, body := range []string{"World", "fail"} {
		if _, _, err := post(r.url+"a?who=Ada&token=s3cret", body); err != nil {
			t.Fatal(err)
		}
	}
	var got tap.Report
	for end := time.Now().Add(30 * time.Second); len(got.Events) < 2; got = ask(want) {
		if time.Now().After(end) {
			t.Fatalf("%+v", got)
		}
	}
	first, second := got.Events[0], got.Events[1]
	if first.Event.URL != "/a?who=Ada&token=***" || first.Event.Method != "POST" || string(first.Event.Body) != "World" || first.Status != 200 || first.Kind != "http" || first.Trigger != "default-http" ||
		second.Status != 409 || second.Error != "no luck" || first.Event.ID == second.Event.ID {
		t.Errorf("%+v", got.Events)
	}
	text, err := letter.Encode(first.Letter())
	if err != nil {
		t.Fatal(err)
	}
	_, answer := admin("POST", "/letters", string(text))
	var again letter.Outcome
	if json.Unmarshal([]byte(answer), &again) != nil || again.Answer == nil || string(again.Answer.Body) != "POST Ada World try 0" || again.Ms <= 0 {
		t.Error(answer)
	}
	if got = ask(want); len(got.Events) != 2 {
		t.Errorf("what was run again was captured: %+v", got)
	}
	if code, text := admin("DELETE", "/capture/a", ""); code != 200 {
		t.Errorf("%d %s", code, text)
	}
	if code, text := admin("POST", "/capture", `{"spec": {"count": 5000}}`); code != 422 || !strings.Contains(text, "count") {
		t.Errorf("%d %s", code, text)
	}
	if code, text := admin("GET", "/recalled", ""); code != 200 || strings.TrimSpace(text) != "[]" {
		t.Errorf("%d %s", code, text)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}

// What functions are sent is not told to whoever reaches a port.
func TestNoCapturesOverTCP(t *testing.T) {
	r := start(t, config(t, ""), echo)
	if code, _, err := post(r.admin+"/capture", `{"id": "a", "left": 1000}`); err != nil || code != 404 {
		t.Errorf("%d %v", code, err)
	}
	if code, _ := get(t, r.admin+"/recalled"); code != 404 {
		t.Errorf("%d", code)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}
