package processor_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

// The CloudEvents project's own client sends events in each form, and reads the
// one that the function answers with.
func TestCloudEventsOverHTTP(t *testing.T) {
	f := native.Of(func(_ *myelin.Context, ev *myelin.Event) (any, error) {
		body := fmt.Sprintf(`{"specversion": "1.0", "id": "answer", "source": "/f", "type": "answer", "datacontenttype": "text/plain", "data": "%s %s %s"}`,
			ev.ID, ev.Header("ce-source"), ev.Body)
		return myelin.Response{ContentType: "application/cloudevents+json", Body: []byte(body)}, nil
	}, nil)
	r := start(t, config(t, "  triggers:\n    default-http: {kind: http, cloudEvents: require}\n"), f)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	sender, err := cehttp.New(cehttp.WithTarget(r.url), cehttp.WithClient(*client))
	if err != nil {
		t.Fatal(err)
	}
	e := event.New()
	e.SetID("größer 1")
	e.SetSource("/shop")
	e.SetType("order")
	if err := e.SetData("text/plain", "tea"); err != nil {
		t.Fatal(err)
	}
	modes := map[string]binding.Encoding{"binary": binding.EncodingBinary, "structured": binding.EncodingStructured}
	for name, mode := range modes {
		ctx := binding.WithForceBinary(t.Context())
		if mode == binding.EncodingStructured {
			ctx = binding.WithForceStructured(t.Context())
		}
		answer, err := sender.Request(ctx, binding.ToMessage(&e))
		if !protocol.IsACK(err) {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := binding.ToEvent(ctx, answer)
		_ = answer.Finish(nil)
		if err != nil || got.ID() != "answer" || string(got.Data()) != "größer 1 /shop tea" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for body, want := range map[string]string{
		"[]": "200 ",
		`[{"specversion": "1.0", "id": "a", "source": "/a", "type": "t"}]`: `"id":"answer"`,
		`[{"specversion": "9"}]`: "400 event 1 of 1: CloudEvent: its specversion is not known",
	} {
		resp, err := client.Post(r.url, "application/cloudevents-batch+json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if got := fmt.Sprintf("%d %s", resp.StatusCode, text); !strings.Contains(strings.ReplaceAll(got, " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("%s: %s", body, got)
		}
	}
	if status, text, err := post(r.url, "no event"); err != nil || status != 400 || !strings.Contains(text, "specversion") {
		t.Errorf("%d %s %v", status, text, err)
	}
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}
