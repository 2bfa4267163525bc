package rabbitmq_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/stream/rabbitmq"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := rabbitmq.Factory().New(binding.Settings{Name: "out", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func channel(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// queue makes a queue and returns how its messages are taken.
func queue(t *testing.T, ch *amqp.Channel, name string) func(n int) []data.Message {
	t.Helper()
	if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	return func(n int) (ms []data.Message) {
		for until := time.Now().Add(60 * time.Second); len(ms) < n; {
			d, ok, err := ch.Get(name, true)
			if err != nil || !ok && time.Now().After(until) {
				t.Fatalf("after %d messages: %v", len(ms), err)
			}
			if !ok {
				time.Sleep(5 * time.Millisecond)
				continue
			}
			m := data.Message{Topic: d.RoutingKey, Value: d.Body}
			if d.ContentType != "" {
				m.Headers = append(m.Headers, data.Header{Key: "Content-Type", Value: d.ContentType})
			}
			for k, v := range d.Headers {
				if text, _ := v.(string); k == data.KeyHeader {
					m.Key = []byte(text)
				} else {
					m.Headers = append(m.Headers, data.Header{Key: k, Value: text})
				}
			}
			ms = append(ms, m)
		}
		return ms
	}
}

func TestSuite(t *testing.T) {
	s := pool.RabbitMQ(t)
	ch := channel(t, "amqp://"+s.Addr)
	bindingtest.Stream(t, bindingtest.Streams{
		Make: func(t *testing.T) binding.Binding {
			return build(t, function.DataBinding{URL: "amqp://" + s.Addr, Path: "suite."})
		},
		Missing: "nowhere",
		Topic:   func(t *testing.T, name string) func(int) []data.Message { return queue(t, ch, "suite."+name) },
	})
}

// Of several messages those that no queue takes are told, and only those; an
// exchange that is not there takes none.
func TestExchanges(t *testing.T) {
	s := pool.RabbitMQ(t)
	ch := channel(t, "amqp://"+s.Addr)
	if err := ch.ExchangeDeclare("orders", "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	read := queue(t, ch, "paid")
	if err := ch.QueueBind("paid", "*.paid", "orders", false, nil); err != nil {
		t.Fatal(err)
	}
	open := func(attributes string) *data.Stream {
		b := build(t, function.DataBinding{URL: "amqp://" + s.Addr, Attributes: []byte(attributes)})
		return data.NewStream(bindingtest.Opened(t, b).(data.Publisher), &data.Guard{Name: "out", Timeout: 60 * time.Second})
	}
	out := open(`{"exchange": "orders"}`)
	err := out.PublishAll(t.Context(), []data.Message{{Topic: "7.paid", Value: []byte("7")}, {Topic: "8.new"}, {Topic: "9.paid", Value: []byte("9")}})
	var u *data.Unpublished
	if !errors.As(err, &u) || len(u.Failed()) != 1 || u.Errs[1] == nil || !errors.Is(err, data.NotFound) {
		t.Errorf("%v", err)
	}
	if got := read(2); string(got[0].Value) != "7" || string(got[1].Value) != "9" {
		t.Errorf("%q", got)
	}
	if err := open(`{"exchange": "nowhere"}`).Publish(t.Context(), data.Message{Topic: "x"}); !errors.Is(err, data.NotFound) {
		t.Errorf("no exchange: %v", err)
	}
	many := make([]data.Header, 20)
	for i := range many {
		many[i] = data.Header{Key: "X", Value: strings.Repeat("x", 8000)}
	}
	if err := out.Publish(t.Context(), data.Message{Topic: "7.paid", Headers: many}); !errors.Is(err, data.TooLarge) {
		t.Errorf("headers: %v", err)
	}
}

func TestServerLost(t *testing.T) {
	s := servers.RabbitMQ(t, servers.Login("me", "rightful"))
	for password, want := range map[string]data.Reason{"wrong": data.Denied, "rightful": 0} {
		b := build(t, function.DataBinding{URL: "amqp://me@" + s.Addr, Secret: quantity.Secret(password)})
		if err := b.Open(t.Context()); data.ReasonOf(err) != want || err != nil && strings.Contains(err.Error(), "rightful") {
			t.Errorf("%q: %v", password, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	queue(t, channel(t, "amqp://me:rightful@"+s.Addr), "kept")
	out := data.NewStream(bindingtest.Opened(t, build(t, function.DataBinding{URL: "amqp://me@" + s.Addr, Secret: "rightful"})).(data.Publisher),
		&data.Guard{Name: "out", Timeout: 60 * time.Second})
	if err := out.Publish(t.Context(), data.Message{Topic: "kept"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := out.Publish(t.Context(), data.Message{Topic: "kept"}); !errors.Is(err, data.Away) {
		t.Errorf("gone: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	queue(t, channel(t, "amqp://me:rightful@"+s.Addr), "kept") // a broker may forget one that was just made
	for until := time.Now().Add(120 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := out.Publish(t.Context(), data.Message{Topic: "kept"})
		if err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("it does not come back: %v", err)
		}
	}
}

func TestMistakes(t *testing.T) {
	for url, field := range map[string]string{"": "url: ", "http://me:s3cret@h": "url: ", "amqp://me:s3cret@h?x=1": "url: ", "amqp://me:s3cret@h": "attributes.tls: "} {
		_, err := rabbitmq.Factory().New(binding.Settings{Spec: function.DataBinding{URL: url}}, []byte(`{"tls":{"caFile":"x"}}`))
		if err == nil || !strings.HasPrefix(err.Error(), field) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
