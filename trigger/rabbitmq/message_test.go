package rabbitmq

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/trigger/queue"
)

func sample() *amqp.Delivery {
	return &amqp.Delivery{
		DeliveryTag: 7, Redelivered: true, Exchange: "x", RoutingKey: "a.b", ReplyTo: "back", CorrelationId: "c1", MessageId: "m1",
		ContentType: "text/plain", Type: "order", Priority: 3, Timestamp: time.Unix(1700000000, 0), Body: []byte("body"),
		Headers: amqp.Table{
			"x-delivery-count": int64(4),
			"text":             "t",
			"raw":              []byte{0xff, 0xfe},
			"latin":            "caf\xe9",
			"yes":              true,
			"byte":             uint8(200),
			"float":            1.5,
			"when":             time.Unix(0, 0),
			"none":             nil,
			"price":            amqp.Decimal{Scale: 2, Value: 1234},
			"x-death":          []any{amqp.Table{"queue": "q", "count": int64(2), "routing-keys": []any{"k"}}},
			"":                 "no name",
		},
	}
}

func TestMessage(t *testing.T) {
	s := &session{topic: "q"}
	var m queue.Message
	s.fill(&m, sample())
	ev := m.Event
	if string(ev.ID) != "m1" || string(ev.ContentType) != "text/plain" || string(ev.Method) != "order" || string(ev.Path) != "x/a.b" ||
		string(ev.Key) != "a.b" || string(ev.Body) != "body" || ev.Topic != "q" || !ev.Time.Equal(time.Unix(1700000000, 0)) {
		t.Errorf("event %+v", ev)
	}
	if m.Tag != 7 || m.Delivered != 4 {
		t.Errorf("tag %d, delivered %d times before, want 7 and 4", m.Tag, m.Delivered)
	}
	var got []string
	for k, v := range ev.Headers.All() {
		got = append(got, string(k)+"="+string(v))
		if string(k) != "" && string(ev.Header(strings.ToUpper(string(k)))) != string(v) {
			t.Errorf("header %s differs when asked for", k)
		}
	}
	want := []string{
		"amqp-exchange=x", "amqp-routing-key=a.b", "amqp-reply-to=back", "amqp-correlation-id=c1", "amqp-type=order", "amqp-priority=3", "amqp-redelivered=true",
		"=no name", "byte=200", "float=1.5", "latin=caf\xe9", "none=", "price=1234e-2", "raw=\xff\xfe", "text=t", "when=1970-01-01T00:00:00Z",
		"x-death.0.count=2", "x-death.0.queue=q", "x-death.0.routing-keys.0=k", "x-delivery-count=4", "yes=true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if ev.Header("absent") != nil {
		t.Error("a header that is not there has a value")
	}
}

func TestPlainMessage(t *testing.T) {
	s := &session{topic: "q"}
	var m queue.Message
	s.fill(&m, &amqp.Delivery{DeliveryTag: 1, Redelivered: true})
	if ev := m.Event; ev.ID != nil || ev.Key != nil || ev.ContentType != nil || !ev.Time.IsZero() {
		t.Errorf("event %+v", ev)
	}
	if m.Delivered != 1 {
		t.Errorf("delivered %d times before, want 1", m.Delivered)
	}
}

func TestDeepTablesEnd(t *testing.T) {
	table := amqp.Table{"end": "leaf"}
	for range 100 {
		table = amqp.Table{"a": table, "b": []any{table}}
		if len(table) > 2 {
			break
		}
		table = amqp.Table{"a": table["a"]}
	}
	s := &session{topic: "q"}
	var m queue.Message
	s.fill(&m, &amqp.Delivery{Headers: amqp.Table{"deep": table, "flat": "yes"}})
	if string(m.Event.Header("flat")) != "yes" || len(m.Buffer) > 1024 {
		t.Errorf("%d bytes of headers", len(m.Buffer))
	}
}

// TestMessageDoesNotAllocate is about this trigger's own part: the client
// library allocates for each delivery, whoever uses it.
func TestMessageDoesNotAllocate(t *testing.T) {
	s := &session{topic: "q"}
	var m queue.Message
	d := sample()
	l := ledger{send: nothing{}}
	ms := []*queue.Message{&m}
	tag := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		tag++
		d.DeliveryTag = tag
		s.fill(&m, d)
		l.open(ms)
		if m.Event.Header("text") == nil {
			t.Error("no header")
		}
		if err := l.settle(tag, queue.Ack); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for each message", n)
	}
}

type nothing struct{}

func (nothing) Ack(uint64, bool) error        { return nil }
func (nothing) Nack(uint64, bool, bool) error { return nil }
