package rabbitmq

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

var (
	shared servers.Pool
	number atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

func TestSuite(t *testing.T) {
	server := shared.RabbitMQ(t)
	for _, kind := range []string{Quorum, Classic} {
		t.Run(kind, func(t *testing.T) {
			triggertest.QueueSuite(t, triggertest.Guarantees{
				Parallel: true,
				New: func(t testing.TB) triggertest.Broker {
					return newBroker(t, server, amqp.Table{amqp.QueueTypeArg: kind})
				},
			})
		})
	}
}

func fresh() string { return fmt.Sprintf("q%d", number.Add(1)) }

// broker is one queue, an exchange of its name that brings it everything, and a
// way to it that can be cut.
type broker struct {
	server *servers.Server
	queue  string
	proxy  *fault.Proxy
}

func newBroker(t testing.TB, s *servers.Server, args amqp.Table) *broker {
	t.Helper()
	p, err := fault.Listen(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	b := &broker{server: s, queue: fresh(), proxy: p}
	declareQueue(t, s, b.queue, args)
	ch := channel(t, s)
	if err := ch.ExchangeDeclare(b.queue, "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.QueueBind(b.queue, "#", b.queue, false, nil); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	return b.trigger(t, s, map[string]any{"queueName": b.queue})
}

func (b *broker) trigger(t testing.TB, s trigger.Settings, attributes map[string]any) trigger.Trigger {
	t.Helper()
	return b.at(t, s, "amqp://"+b.proxy.Addr(), attributes)
}

func (b *broker) at(t testing.TB, s trigger.Settings, url string, attributes map[string]any) trigger.Trigger {
	t.Helper()
	s.Spec.Kind, s.Spec.URL = Kind, url
	raw, err := json.Marshal(attributes)
	if err != nil {
		t.Fatal(err)
	}
	trg, err := Factory().New(s, raw)
	if err != nil {
		t.Fatal(err)
	}
	return trg
}

func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	ch := channel(t, b.server)
	var confirms []*amqp.DeferredConfirmation
	for _, r := range rs {
		m := amqp.Publishing{Body: []byte(r.Body), DeliveryMode: amqp.Persistent, Headers: amqp.Table{}}
		for k, v := range r.Headers {
			m.Headers[k] = v
		}
		confirms = append(confirms, publish(t, ch, b.queue, r.Key, m))
	}
	for _, c := range confirms {
		if !c.Wait() {
			t.Fatal("the broker did not take a message")
		}
	}
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	absent, shaped := fresh(), fresh()
	wrong := s
	wrong.Spec.Username, wrong.Spec.Password = "guest", quantity.Secret("no")
	declareQueue(t, b.server, shaped, nil)
	return map[string]triggertest.Broken{
		"password": {Trigger: b.trigger(t, wrong, map[string]any{"queueName": b.queue}), Says: `user "guest", its password`},
		"queue": {
			Trigger: b.trigger(t, s, map[string]any{"queueName": absent}),
			Mend:    func() { declareQueue(t, b.server, absent, nil) },
			Says:    fmt.Sprintf("queue %q is not there", absent),
		},
		"vhost": {Trigger: b.trigger(t, s, map[string]any{"queueName": b.queue, "vhost": "nowhere"}), Says: `virtual host "nowhere"`},
		"mismatch": {
			Trigger: b.trigger(t, s, map[string]any{"queueName": shaped, "topology": "declare", "messageTTL": "1h", "queueType": "classic"}),
			Mend:    func() { deleteQueue(t, b.server, shaped) },
			Says:    fmt.Sprintf("queue %q is there, but not as configured", shaped),
		},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// channel opens a connection of the test's own, in confirm mode.
func channel(t testing.TB, s *servers.Server) *amqp.Channel {
	t.Helper()
	scheme := "amqp"
	if s.TLS != nil {
		scheme = "amqps"
	}
	conn, err := amqp.DialConfig(fmt.Sprintf("%s://%s:%s@%s", scheme, s.User, s.Password, s.Addr), amqp.Config{TLSClientConfig: s.TLS})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseDeadline(time.Now().Add(5 * time.Second)) })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	return ch
}

func publish(t testing.TB, ch *amqp.Channel, exchange, key string, m amqp.Publishing) *amqp.DeferredConfirmation {
	t.Helper()
	c, err := ch.PublishWithDeferredConfirmWithContext(context.Background(), exchange, key, false, false, m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func declareQueue(t testing.TB, s *servers.Server, name string, args amqp.Table) {
	t.Helper()
	if _, err := channel(t, s).QueueDeclare(name, true, false, false, false, args); err != nil {
		t.Fatal(err)
	}
}

func deleteQueue(t testing.TB, s *servers.Server, name string) {
	t.Helper()
	if _, err := channel(t, s).QueueDelete(name, false, false, false); err != nil {
		t.Fatal(err)
	}
}
