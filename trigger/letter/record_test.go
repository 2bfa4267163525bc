package letter_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/trigger/letter"
)

func TestRecord(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5e6, time.UTC)
	l := letter.Letter{
		ID: "l1", Reason: letter.Attempts, Function: "f", Trigger: "in", Kind: "rabbitmq", Error: "no", Attempts: 5, First: at, Last: at,
		From: letter.Place{Topic: "orders", Offset: 7},
		Event: letter.Event{ID: "e1", Time: at, ContentType: "text/plain", Key: letter.Bytes("k"), Body: letter.Bytes("body"),
			Headers: []letter.Header{{Key: "A", Value: letter.Bytes("\xff")}, {Key: "Myelin-Error", Value: letter.Bytes("old")}}},
	}
	got := l.Record()
	if string(got.Body) != "body" || string(got.Key) != "k" || got.ContentType != "text/plain" || got.ID != "l1" {
		t.Errorf("record of a failure: %+v", got)
	}
	want := map[string]string{
		"A": "\xff", "myelin-letter": "l1", "myelin-reason": "attempts", "myelin-function": "f", "myelin-trigger": "in", "myelin-kind": "rabbitmq",
		"myelin-error": "no", "myelin-attempts": "5", "myelin-first": "2026-03-01T12:00:00.005Z", "myelin-last": "2026-03-01T12:00:00.005Z",
		"myelin-topic": "orders", "myelin-shard": "0", "myelin-offset": "7", "myelin-event-id": "e1", "myelin-event-time": "2026-03-01T12:00:00.005Z",
	}
	headers := map[string]string{}
	for _, h := range got.Headers {
		headers[h.Key] = string(h.Value)
	}
	if diff := cmp.Diff(want, headers); diff != "" || len(got.Headers) != len(want) {
		t.Errorf("headers (-want +got):\n%s", diff)
	}

	l.Answer = &letter.Answer{Status: 201, ContentType: "application/json", Body: letter.Bytes("{}")}
	if got := l.Record(); string(got.Body) != "{}" || got.ContentType != "application/json" {
		t.Errorf("record of a success: %+v", got)
	}
}
