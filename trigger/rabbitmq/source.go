package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/rabbitmq/link"
)

// source opens sessions of one queue. What it publishes goes over connections
// of its own: a broker that is short of memory stops to read from those that
// publish, and acks must not wait behind that.
type source struct {
	settings trigger.Settings
	cfg      Config
	log      *slog.Logger
	dialer   link.Dialer
	replies  *link.Publisher

	mu     sync.Mutex
	topics []*link.Publisher
}

var (
	_ queue.Source = (*source)(nil)
	_ queue.Topics = (*source)(nil)
	_ io.Closer    = (*source)(nil)
)

// Connect implements [queue.Source].
func (s *source) Connect(ctx context.Context, w queue.Want) (queue.Session, error) {
	if w.Seek {
		s.log.Warn("a queue of RabbitMQ keeps nothing that was read: it is read on where it is")
	}
	conn, err := s.dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	// What follows waits for the broker and knows no ctx. A node that has just
	// started takes connections, and may never answer what is asked over them.
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout.Std())
	defer cancel()
	stop := context.AfterFunc(ctx, func() { link.Discard(conn) })
	session, err := s.subscribe(conn, w.Prefetch)
	if !stop() {
		err = fmt.Errorf("subscribe to queue %q: %w", s.cfg.QueueName, ctx.Err())
	}
	if err != nil {
		link.Discard(conn)
		return nil, err
	}
	return session, nil
}

func (s *source) subscribe(conn *amqp.Connection, prefetch int) (*session, error) {
	if err := s.cfg.prepare(conn); err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	q := &session{src: s, conn: conn, ch: ch, prefetch: min(prefetch, math.MaxUint16), topic: s.cfg.QueueName,
		closed: ch.NotifyClose(make(chan *amqp.Error, 1)), cancelled: ch.NotifyCancel(make(chan string, 1))}
	q.ledger.send = ch
	if err := ch.Qos(q.prefetch, 0, false); err != nil {
		return nil, fmt.Errorf("set prefetch: %w", err)
	}
	args := table(s.cfg.ConsumerArguments)
	if s.cfg.Priority != 0 {
		args = merge(args, amqp.Table{"x-priority": int64(s.cfg.Priority)})
	}
	q.deliveries, err = ch.Consume(s.cfg.QueueName, s.cfg.ConsumerTag, false, s.cfg.Exclusive, false, false, args)
	if err != nil {
		return nil, s.notConsumed(err)
	}
	return q, nil
}

func (s *source) notConsumed(err error) error {
	var e *amqp.Error
	if errors.As(err, &e) && e.Code == amqp.AccessRefused && strings.Contains(e.Reason, "exclusive") {
		return fmt.Errorf("queue %q has a consumer already, and one of them is to be alone: %w", s.cfg.QueueName, err)
	}
	return refused(s.cfg.queue(), err)
}

func merge(a, b amqp.Table) amqp.Table {
	if a == nil {
		return b
	}
	for k, v := range b {
		a[k] = v
	}
	return a
}

// Topic implements [queue.Topics]: exchange/routing key, or the name of a queue.
func (s *source) Topic(d string) (trigger.Destination, error) {
	t := &topic{key: d, Publisher: &link.Publisher{Dial: s.dialer.Dial, Patience: s.cfg.ConfirmTimeout.Std()}}
	if exchange, key, ok := strings.Cut(d, "/"); ok {
		t.exchange, t.key = exchange, key
	}
	if len(t.exchange) > 255 || len(t.key) > 255 {
		return nil, errors.New("topic: exchange and routing key have at most 255 bytes each")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics = append(s.topics, t.Publisher)
	return t, nil
}

// Close ends what was published over.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range append(s.topics, s.replies) {
		p.Close()
	}
	return nil
}
