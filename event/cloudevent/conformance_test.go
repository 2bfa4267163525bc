package cloudevent_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event/cloudevent"
)

// The cases are those that the conformance tests of the CloudEvents project ask
// for in the JSON format, with values of our own, and some beside them.
func TestConformance(t *testing.T) {
	text, err := os.ReadFile("testdata/conformance.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Case, Is, Time, Wrong string
		Event, Batch          json.RawMessage
		Many                  int
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		var all []*cloudevent.Event
		if c.Batch != nil {
			all, err = cloudevent.ParseBatch([]byte("application/cloudevents-batch+json"), c.Batch)
		} else {
			var e *cloudevent.Event
			if e, err = cloudevent.Parse([]byte(structured), c.Event); err == nil {
				all = append(all, e)
			}
		}
		if c.Wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.Wrong) {
				t.Errorf("%s: %v, want %q", c.Case, err, c.Wrong)
			}
			continue
		}
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.Case, err)
		case c.Batch != nil:
			if len(all) != c.Many {
				t.Errorf("%s: %d events, want %d", c.Case, len(all), c.Many)
			}
		case c.Is != "" && shown(all[0]) != c.Is:
			t.Errorf("%s:\ngot  %s\nwant %s", c.Case, shown(all[0]), c.Is)
		case c.Time != "" && all[0].Time.UTC().Format("2006-01-02T15:04:05.999999999Z07:00") != c.Time:
			t.Errorf("%s: %v, want %s", c.Case, all[0].Time, c.Time)
		}
	}
}

// The same event in both modes of HTTP and of Kafka is the same here.
func TestModesAgree(t *testing.T) {
	const want = "id=7 source=/t/sub specversion=1.0 time=2026-03-01T12:00:00Z type=example.made"
	const data = `{"pot": "green"}`
	for _, kind := range []string{"application/cloudevents+json", structured} {
		e, err := cloudevent.Parse([]byte(kind), []byte(`{"specversion": "1.0", "id": "7", "source": "/t/sub", "type": "example.made", "time": "2026-03-01T12:00:00Z", "datacontenttype": "application/json", "data": `+data+`}`))
		if err != nil || shown(e) != want+" | application/json | "+data {
			t.Errorf("%s: %v %v", kind, e, err)
		}
	}
	for _, prefix := range []string{"ce-", "ce_"} {
		for _, kind := range []string{"application/json", "application/json; charset=utf-8"} {
			ev := binary("", prefix+"id", "7", prefix+"source", "/t/sub", prefix+"specversion", "1.0", prefix+"time", "2026-03-01T12:00:00Z", prefix+"type", "example.made")
			ev.ContentType, ev.Body = []byte(kind), []byte(data)
			e, rest, err := cloudevent.FromHeaders(ev)
			if err != nil || len(rest) > 0 || shown(e) != want+" | "+kind+" | "+data {
				t.Errorf("%s %s: %v %v %v", prefix, kind, e, rest, err)
			}
		}
	}
	ev := binary("", "ce-id", "7", "ce-source", "/t", "ce-specversion", "1.0", "ce-type", "made")
	ev.ContentType = []byte("tea")
	if _, _, err := cloudevent.FromHeaders(ev); err == nil || !strings.Contains(err.Error(), "datacontenttype: ") {
		t.Errorf("a content type without a slash: %v", err)
	}
}
