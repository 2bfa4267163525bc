package chaos

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
)

// rabbit is a durable queue behind a proxy; its producer goes past the proxy, so
// that only the broker's deaths cost it confirmations.
type rabbit struct {
	t      *testing.T
	server *servers.Server
	proxy  *fault.Proxy

	mu   sync.Mutex
	conn *amqp.Connection
	ch   *amqp.Channel
}

// newRabbit makes a queue, of the type classic or quorum.
func newRabbit(t *testing.T, queueType string) *rabbit {
	r := &rabbit{t: t, server: servers.RabbitMQ(t)}
	var err error
	if r.proxy, err = fault.Listen(r.server.Addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.proxy.Close() })
	ch, err := r.channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("in", true, false, false, false, amqp.Table{"x-queue-type": queueType}); err != nil {
		t.Fatal(err)
	}
	if queueType == "quorum" {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := r.server.QueueSaved(ctx, "in"); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = r.conn.CloseDeadline(time.Now().Add(5 * time.Second)) })
	return r
}

// channel is open and in confirm mode.
func (r *rabbit) channel() (*amqp.Channel, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ch != nil && !r.ch.IsClosed() {
		return r.ch, nil
	}
	conn, err := amqp.Dial(fmt.Sprintf("amqp://%s:%s@%s", r.server.User, r.server.Password, r.server.Addr))
	if err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err == nil {
		r.conn, r.ch = conn, ch
	}
	return ch, err
}

func (r *rabbit) Trigger(string) string {
	return fmt.Sprintf(`{kind: rabbitmq, url: "amqp://%s", numWorkers: 4, prefetch: 50, retry: {attempts: -1, backoff: {initial: 50ms, max: 1s}},
        attributes: {queueName: in, heartbeat: 1s, connectTimeout: 2s}}`, r.proxy.Addr())
}

// confirmTime is how long a queue may have no leader before its events are given up.
const confirmTime = 30 * time.Second

func (r *rabbit) Send(e ledger.Event, done func(error)) {
	ch, err := r.channel()
	if err != nil {
		done(err)
		return
	}
	c, err := ch.PublishWithDeferredConfirm("", "in", true, false, amqp.Publishing{MessageId: e.Key, Body: e.Body, DeliveryMode: amqp.Persistent})
	if err != nil {
		done(err)
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), confirmTime)
		defer cancel()
		ok, err := c.WaitContext(ctx)
		if err == nil && !ok {
			err = amqp.ErrClosed
		}
		done(err)
	}()
}

func (r *rabbit) Broker() *servers.Server { return r.server }
func (r *rabbit) Proxy() *fault.Proxy     { return r.proxy }
func (r *rabbit) Silence() time.Duration  { return 4 * time.Second }

// At least once: none lost. A queue has no order.
func TestRabbitMQ(t *testing.T) { Survive(t, newRabbit(t, "classic"), Promise{Unordered: true}) }

// The same of a queue that is a log of its own.
func TestRabbitMQQuorum(t *testing.T) {
	Survive(t, newRabbit(t, "quorum"), Promise{Unordered: true})
}
