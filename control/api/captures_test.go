package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/api/openapi/conform"
	"github.com/myelin-run/myelin/control/capture"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/trigger/letter"
)

// one is a platform with a processor of default.orders that captured one event.
type one struct{}

func (one) Observe(context.Context, string) ([]platform.Observed, error) {
	return []platform.Observed{{Name: "default.orders"}}, nil
}

func (one) Ask(_ context.Context, _, _, _ string, body []byte) []platform.Reply {
	var want tap.Request
	_ = json.Unmarshal(body, &want) // of an end there is none
	got := tap.Report{Instance: "i", Seen: 3, Dropped: 1, Events: []tap.Event{}}
	if want.Have["i"] == 0 {
		got.Events = append(got.Events, tap.Event{Seq: 1, Trigger: "web", Kind: "http", Attempt: 1, Status: 200, Event: letter.Event{ID: "e", Method: "POST", URL: "/?a=b", Body: letter.Bytes("\xff"), Headers: []letter.Header{{Key: "Cookie", Value: letter.Bytes("***")}}}})
	}
	text, _ := json.Marshal(got)
	return []platform.Reply{{Replica: "r", Status: 200, Body: text}}
}

// A capture is begun, read, ended and removed, and its event is run again.
func TestCapturesOverTheAPI(t *testing.T) {
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	k := capture.New(one{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = k.Run(ctx) }()
	defer func() { stop(); <-ended }()
	srv := httptest.NewServer(conform.New(t).Handler(t, api.New(api.Options{Catalog: catalog.New(s), Letters: boxes{t.TempDir()}, Captures: k, Log: slog.New(slog.DiscardHandler)})))
	defer srv.Close()
	c := client.New(srv.URL, "", nil)
	if _, err := c.StartCapture(t.Context(), "orders", tap.Spec{}); !client.NotFound(err) {
		t.Fatalf("of nobody: %v", err)
	}
	if _, err := c.Put(t.Context(), function.Config{Metadata: function.Metadata{Name: "orders"}, Spec: function.Spec{Runtime: "python", Handler: "m:f"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.StartCapture(t.Context(), "orders", tap.Spec{Count: 1001}); err == nil || !strings.Contains(err.Error(), "count") {
		t.Errorf("too many: %v", err)
	}
	now, err := c.StartCapture(t.Context(), "orders", tap.Spec{Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.StartCapture(t.Context(), "orders", tap.Spec{}); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("a second one: %v", err)
	}
	for end := time.Now().Add(30 * time.Second); len(now.Events) == 0; time.Sleep(time.Millisecond) {
		if now, err = c.Capture(t.Context(), "orders", now.ID, 0); err != nil || time.Now().After(end) {
			t.Fatalf("%+v, %v", now, err)
		}
	}
	e := now.Events[0]
	if string(e.Event.Body) != "\xff" || e.Replica != "r" || now.State != capture.Running || now.Dropped != 1 {
		t.Errorf("%+v", now)
	}
	if next, err := c.Capture(t.Context(), "orders", now.ID, e.Seq); err != nil || len(next.Events) != 0 {
		t.Errorf("behind it: %+v, %v", next, err)
	}
	if list, err := c.Captures(t.Context(), "orders"); err != nil || len(list.Items) != 1 || len(list.Items[0].Events) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if done, err := c.Replay(t.Context(), "orders", e, ":$latest"); err != nil || done.By != "orders" || done.Status != 200 {
		t.Errorf("%+v, %v", done, err)
	}
	for to, want := range map[string]string{":3": "no version 3", ":x": `no version or alias "x"`, "away": "nobody runs"} {
		if _, err := c.Replay(t.Context(), "orders", e, to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("replay to %s: %v", to, err)
		}
	}
	if _, err := c.Replay(t.Context(), "orders", tap.Event{}, ""); err == nil || !strings.Contains(err.Error(), "as a capture") {
		t.Errorf("replay of nothing: %v", err)
	}
	if done, err := c.EndCapture(t.Context(), "orders", now.ID); err != nil || done.State != capture.Ended || len(done.Events) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := c.StartCapture(t.Context(), "orders", tap.Spec{}); err != nil {
		t.Errorf("after its end: %v", err)
	}
	if _, err := c.Capture(t.Context(), "orders", now.ID, 0); !client.NotFound(err) {
		t.Errorf("the one before: %v", err)
	}
	w := &world{T: t, url: srv.URL}
	for path, want := range map[string]int{"POST /captures": 400, "GET /captures/x?after=y": 400, "POST /replay": 400, "DELETE /captures/x": 404, "POST /captures/x/end": 404} {
		method, path, _ := strings.Cut(path, " ")
		body := ""
		if method == "POST" && !strings.HasSuffix(path, "end") {
			body = `{"count": "many", "trigger": 7}`
		}
		if code, text := w.ask(method, "/api/v1/functions/orders"+path, body); code != want {
			t.Errorf("%s %s: %d %s", method, path, code, text)
		}
	}
	if err := c.Delete(t.Context(), "orders"); err != nil {
		t.Error(err)
	}
	if _, ok := k.Of(catalog.Name{Namespace: "default", Name: "orders"}); ok {
		t.Error("it outlives its function")
	}
}
