package redis

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

func at(cfg Config) *session {
	cfg.Streams = []string{"orders"}
	return &session{src: &source{cfg: cfg}, desk: link.NewDesk(1, func(int, []any) error { return nil }, nil)}
}

func TestMessage(t *testing.T) {
	s := at(Config{BodyField: "data", KeyField: "k"})
	var m queue.Message
	s.fill(&m, &entry{id: "1700000000123-4", before: 2, fields: []any{"a", "1", "data", "bo\xffdy", "k", "key", "Content-Type", "x/y", "data", "second", "", "none"}})
	ev := m.Event
	if string(ev.ID) != "orders/1700000000123-4" || string(ev.Body) != "bo\xffdy" || string(ev.Key) != "key" || string(ev.ContentType) != "x/y" ||
		ev.Topic != "orders" || !ev.Time.Equal(time.UnixMilli(1700000000123)) || m.Delivered != 2 {
		t.Errorf("event %+v of %d deliveries before", ev, m.Delivered)
	}
	var headers, fields []string
	for k, v := range ev.Headers.All() {
		headers = append(headers, string(k)+"="+string(v))
	}
	for k, v := range ev.Fields.All() {
		fields = append(fields, string(k)+"="+string(v))
	}
	want := []string{"a=1", "data=bo\xffdy", "k=key", "Content-Type=x/y", "data=second", "=none"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(append(want[:1:1], want[2:]...), headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if string(ev.Field("DATA")) != "bo\xffdy" || string(ev.Header("data")) != "second" || ev.Header("b") != nil {
		t.Errorf("field %q, header %q", ev.Field("DATA"), ev.Header("data"))
	}
}

func TestWholeEntryIsTheBody(t *testing.T) {
	s := at(Config{})
	var m queue.Message
	s.fill(&m, &entry{id: "7-0", fields: []any{"a\"\\\n\x01", "ü\t", "raw", "\xff\x00", "", "no name", "b\xff", "x"}})
	var got map[string]any
	if err := json.Unmarshal(m.Event.Body, &got); err != nil {
		t.Fatalf("%v: %q", err, m.Event.Body)
	}
	want := map[string]any{"a\"\\\n\x01": "ü\t", "raw": map[string]any{"base64": "/wA="}, "": "no name", "b\ufffd": "x"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if string(m.Event.ContentType) != "application/json" || string(m.Event.Header("raw")) != "\xff\x00" {
		t.Errorf("event %+v", m.Event)
	}
}

// FuzzObject: whatever the fields are, the body is JSON.
func FuzzObject(f *testing.F) {
	f.Add("name", "value")
	f.Add("\xff", "\xc3\x28\x00")
	f.Fuzz(func(t *testing.T, name, value string) {
		b := appendObject(nil, []any{name, value, value, name})
		if !json.Valid(b) {
			t.Errorf("%q", b)
		}
	})
}

// TestMessageDoesNotAllocate is about this trigger's own part: the client
// library allocates for each answer, whoever uses it.
func TestMessageDoesNotAllocate(t *testing.T) {
	for name, cfg := range map[string]Config{"field": {BodyField: "b"}, "all": {}} {
		s := at(cfg)
		var m queue.Message
		e := entry{id: "1700000000123-4", fields: []any{"b", "body", "k", "v"}}
		if n := testing.AllocsPerRun(1000, func() {
			s.fill(&m, &e)
			m.Tag = s.desk.Open(0, e.id)
			if m.Event.Header("k") == nil {
				t.Error("no header")
			}
			if err := s.desk.Settle(false, m.Tag); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for each message", name, n)
		}
	}
}
