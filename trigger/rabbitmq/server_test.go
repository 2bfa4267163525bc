package rabbitmq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/rabbitmq/link"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const patience = 2 * time.Minute

// running is a trigger that runs, and the events that its function saw.
type running struct {
	trigger.Reporter
	t      testing.TB
	events chan *event.Event
	stop   context.CancelFunc
	done   chan error
}

// run starts a trigger whose function does what then says; nil: nothing.
func run(t testing.TB, trg trigger.Trigger, then func(*event.Event, *event.Response) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Reporter: trg.(trigger.Reporter), t: t, events: make(chan *event.Event, 100_000), stop: cancel, done: make(chan error, 1)}
	h := func(_ context.Context, ev *event.Event, resp *event.Response) error {
		c := ev.Clone()
		var err error
		if then != nil {
			err = then(ev, resp)
		}
		r.events <- c
		return err
	}
	go func() { r.done <- trg.Run(ctx, trigger.HandlerFunc(h)) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-r.done:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not return")
		}
	})
	return r
}

func (r *running) next() *event.Event {
	r.t.Helper()
	select {
	case ev := <-r.events:
		return ev
	case <-time.After(patience):
		r.t.Fatalf("no event; %+v", r.Report())
		return nil
	}
}

func (r *running) until(what string, ok func(trigger.Report) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(r.Report()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v", what, r.Report())
		}
	}
}

func (b *broker) settings(t testing.TB, spec function.Trigger) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Spec: spec, Workers: 4, Letters: lost{t}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// lost takes letters that nobody expects.
type lost struct{ t testing.TB }

func (l lost) Send(_ context.Context, x *letter.Letter) error {
	l.t.Errorf("a letter: %+v", x)
	return nil
}

// TestTable sends what AMQP can and text cannot.
func TestTable(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	r := run(t, b.Trigger(t, b.settings(t, function.Trigger{})), nil)
	ch := channel(t, b.server)
	body := bytes.Repeat([]byte{0, 0xff}, 4<<20)
	publish(t, ch, b.queue, "a.\xff", amqp.Publishing{
		MessageId: "\xfe", ContentType: "x/y", Body: body, Timestamp: time.Unix(1700000000, 0), Type: "t",
		Headers: amqp.Table{"k\xff": "v\xff", "raw": []byte{0x80}, "deep": amqp.Table{"list": []any{int32(1), "two"}}},
	})
	ev := r.next()
	if string(ev.ID) != "\xfe" || string(ev.Key) != "a.\xff" || !bytes.Equal(ev.Body, body) || ev.Time.Unix() != 1700000000 || string(ev.ContentType) != "x/y" {
		t.Errorf("event with id %q, key %q, %d bytes, at %v", ev.ID, ev.Key, len(ev.Body), ev.Time)
	}
	for k, want := range map[string]string{"k\xff": "v\xff", "raw": "\x80", "deep.list.0": "1", "deep.list.1": "two", "amqp-exchange": b.queue, "amqp-type": "t"} {
		if got := string(ev.Header(k)); got != want {
			t.Errorf("header %q is %q, want %q", k, got, want)
		}
	}
	publish(t, ch, b.queue, "", amqp.Publishing{}) // nothing at all
	if ev := r.next(); len(ev.Body) != 0 || len(ev.ID) == 0 || ev.Time.IsZero() {
		t.Errorf("event %+v", ev)
	}
	r.until("both to be done", func(r trigger.Report) bool { return r.Done == 2 })
}

// TestDeliveryCount: a quorum queue says how often it has delivered a message.
func TestDeliveryCount(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), amqp.Table{amqp.QueueTypeArg: Quorum})
	ch := channel(t, b.server)
	publish(t, ch, b.queue, "", amqp.Publishing{Body: []byte("x")}).Wait()
	for range 2 {
		d, ok, err := ch.Get(b.queue, false)
		for end := time.Now().Add(patience); err == nil && !ok && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			d, ok, err = ch.Get(b.queue, false)
		}
		must(t, err)
		must(t, d.Nack(false, true))
	}
	r := run(t, b.Trigger(t, b.settings(t, function.Trigger{})), nil)
	if got := string(r.next().Header("x-delivery-count")); got != "2" {
		t.Errorf("delivered %q times before, want 2", got)
	}
}

// TestReplies: who asks by reply_to is answered, whatever became of the message.
func TestReplies(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	run(t, b.Trigger(t, trigger.Settings{Name: "in", Spec: function.Trigger{Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "drop"}}}}),
		func(ev *event.Event, resp *event.Response) error {
			if string(ev.Body) == "fail" {
				return event.Permanent(&event.Error{Status: 418, Message: "teapot"})
			}
			resp.Body, resp.Status = append(resp.Body, "re: "+string(ev.Body)...), 201
			resp.ContentType = "text/x"
			resp.SetHeader("a", "b")
			return nil
		})
	ch := channel(t, b.server)
	answers, err := ch.Consume("amq.rabbitmq.reply-to", "", true, false, false, false, nil)
	must(t, err)
	ask := func(body, to string) {
		publish(t, ch, b.queue, "", amqp.Publishing{Body: []byte(body), ReplyTo: to, CorrelationId: "c-" + body})
	}
	ask("lost", "nobody.here")
	for body, want := range map[string]struct {
		text   string
		status int32
	}{"hello": {"re: hello", 201}, "fail": {"teapot", 418}} {
		ask(body, "amq.rabbitmq.reply-to")
		select {
		case a := <-answers:
			if string(a.Body) != want.text || a.CorrelationId != "c-"+body || a.Headers["status"] != want.status {
				t.Errorf("%s: answer %q, correlation %q, headers %v", body, a.Body, a.CorrelationId, a.Headers)
			}
			if body == "hello" && (a.Headers["a"] != "b" || a.ContentType != "text/x") {
				t.Errorf("answer %+v", a)
			}
		case <-time.After(patience):
			t.Fatal("no answer to " + body)
		}
	}
}

// TestPoison: with each kind of dead letters, what fails for good ends there,
// and the rest is done.
func TestPoison(t *testing.T) {
	server := shared.RabbitMQ(t)
	for kind, prepare := range map[string]func(dead string) (function.Destination, map[string]any){
		"broker": func(dead string) (function.Destination, map[string]any) {
			return function.Destination{Kind: "broker"}, map[string]any{"deadLetterQueue": dead}
		},
		"queue": func(dead string) (function.Destination, map[string]any) {
			return function.Destination{Kind: "topic", Topic: dead}, map[string]any{}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			b := newBroker(t, server, nil)
			dead, work := fresh(), fresh()
			to, attributes := prepare(dead)
			attributes["queueName"], attributes["topology"], attributes["exchangeName"] = work, "declare", b.queue
			attributes["topics"] = []string{"n.*"}
			if kind != "broker" {
				declareQueue(t, server, dead, nil)
			}
			spec := function.Trigger{Delivery: function.Delivery{OnFailure: &to, Retry: &function.Retry{Attempts: 2, Backoff: &function.Backoff{Initial: 1e6}}}}
			r := run(t, b.trigger(t, b.settings(t, spec), attributes), func(ev *event.Event, _ *event.Response) error {
				if string(ev.Body) == "7" {
					return errors.New("cannot do 7")
				}
				return nil
			})
			r.until("the queue", func(r trigger.Report) bool { return r.State == trigger.Running })
			ch := channel(t, server)
			for n := range 20 {
				publish(t, ch, b.queue, "n.k", amqp.Publishing{Body: fmt.Append(nil, n), Headers: amqp.Table{"h": "v"}})
			}
			r.until("19 to be done and one dead", func(r trigger.Report) bool { return r.Done == 19 && r.Dead == 1 })
			d := take(t, ch, dead)
			if string(d.Body) != "7" || d.Headers["h"] != "v" {
				t.Errorf("dead letter %q with %v", d.Body, d.Headers)
			}
			if kind == "broker" && d.Headers["x-death"] == nil || kind != "broker" && (d.Headers["myelin-error"] != "cannot do 7" || d.Headers["myelin-attempts"] != "2") {
				t.Errorf("dead letter with %v", d.Headers)
			}
		})
	}
}

func take(t testing.TB, ch *amqp.Channel, queue string) amqp.Delivery {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		d, ok, err := ch.Get(queue, true)
		must(t, err)
		if ok {
			return d
		}
	}
	t.Fatalf("nothing comes to %s", queue)
	return amqp.Delivery{}
}

// TestTopics: a letter is sent once the broker has it in a queue, and not before.
func TestTopics(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	src := b.source(t)
	l := &letter.Letter{ID: "l", Event: letter.Event{ID: "e", Key: letter.Bytes("own.key"), Body: letter.Bytes("body"),
		Headers: []letter.Header{{Key: "amqp-correlation-id", Value: letter.Bytes("c")}, {Key: strings.Repeat("h", 300), Value: letter.Bytes("v")}}}}
	send := func(to string, l *letter.Letter) error {
		d, err := src.Topic(to)
		must(t, err)
		return d.Send(context.Background(), l)
	}
	must(t, send(b.queue+"/some.key", l))
	must(t, send(b.queue+"/", l))
	must(t, send(b.queue, l))
	ch := channel(t, b.server)
	for _, key := range []string{"some.key", "own.key", b.queue} {
		if d := take(t, ch, b.queue); d.RoutingKey != key || string(d.Body) != "body" || d.MessageId != "l" || d.CorrelationId != "c" || d.DeliveryMode != amqp.Persistent {
			t.Errorf("routing key %q, want %q: %+v", d.RoutingKey, key, d)
		}
	}
	if err := send("nowhere.at.all", l); !errors.Is(err, link.ErrNoRoute) {
		t.Errorf("no queue: %v", err)
	}
	if err := send("no such exchange/k", l); err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), "no such exchange") {
		t.Errorf("no exchange: %v", err)
	}
	large := *l
	large.Event.Body = make([]byte, 128<<20+1)
	if err := send(b.queue, &large); !event.IsPermanent(err) {
		t.Errorf("too large: %v", err)
	}
	must(t, send(b.queue, l)) // and goes on
}

func (b *broker) source(t testing.TB) *source {
	t.Helper()
	cfg := defaults()
	cfg.QueueName = b.queue
	src, err := newSource(trigger.Settings{Name: "in", Spec: function.Trigger{URL: "amqp://" + b.proxy.Addr()}, Letters: lost{t}}, cfg)
	must(t, err)
	t.Cleanup(func() { must(t, src.Close()) })
	return src
}

// TestManySendersAndCuts: no letter is taken for sent that was not.
func TestManySendersAndCuts(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	d, err := b.source(t).Topic(b.queue)
	must(t, err)
	const senders, each = 8, 50
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for n := range each {
				id := fmt.Sprintf("%d-%d", s, n)
				for end := time.Now().Add(patience); d.Send(context.Background(), &letter.Letter{ID: id}) != nil; {
					if time.Now().After(end) {
						t.Error("never sent")
						return
					}
				}
				if s == 0 && n%10 == 5 {
					b.proxy.Reset()
				}
			}
		})
	}
	all.Wait()
	ch := channel(t, b.server)
	got := map[string]bool{}
	for len(got) < senders*each && !t.Failed() {
		got[take(t, ch, b.queue).MessageId] = true
	}
}

// TestOrder: with one message at a time from a queue that feeds one consumer at
// a time, the queue's order is that of the runs, failures and successors
// included.
func TestOrder(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), amqp.Table{amqp.QueueTypeArg: Quorum, amqp.SingleActiveConsumerArg: true})
	const n = 100
	for i := range n {
		b.Produce(t, triggertest.Record{Body: fmt.Sprint(i)})
	}
	spec := function.Trigger{Delivery: function.Delivery{MaxInFlight: 1, Prefetch: 1, Retry: &function.Retry{Backoff: &function.Backoff{Initial: 1e6}}}}
	var mu sync.Mutex
	next, failed := 0, map[string]bool{}
	half := make(chan struct{})
	then := func(ev *event.Event, _ *event.Response) error {
		mu.Lock()
		defer mu.Unlock()
		if body := string(ev.Body); body != fmt.Sprint(next) {
			t.Errorf("event %s, want %d", body, next)
		} else if next%10 == 3 && !failed[body] {
			failed[body] = true
			return errors.New("once")
		}
		if next++; next == n/2 {
			close(half)
		}
		return nil
	}
	first := run(t, b.Trigger(t, b.settings(t, spec)), then)
	second := run(t, b.Trigger(t, b.settings(t, spec)), then)
	for _, r := range []*running{first, second} {
		r.until("the queue", func(r trigger.Report) bool { return r.State == trigger.Running })
	}
	select {
	case <-half:
	case <-time.After(patience):
		t.Fatal("the queue stands still")
	}
	first.stop()
	second.until("the rest", func(trigger.Report) bool { return first.Report().Done+second.Report().Done == n })
}
