package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/nats/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

// source opens sessions of one consumer.
type source struct {
	cfg      Config
	attempts int // of the spec; 0: the engine's default
	log      *slog.Logger
	dialer   *link.Dialer
	topics   *link.Publisher
}

var (
	_ queue.Source = (*source)(nil)
	_ queue.Topics = (*source)(nil)
	_ io.Closer    = (*source)(nil)
)

// Connect implements [queue.Source].
func (s *source) Connect(ctx context.Context, w queue.Want) (queue.Session, error) {
	conn, err := s.dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.cfg.ConnectTimeout.Std())
	defer cancel()
	q, err := s.consume(ctx, conn, w)
	if err != nil {
		conn.Close()
		if lacks := conn.Forbidden(); lacks != nil { // the question that nobody answered
			err = lacks
		}
		return nil, err
	}
	return q, nil
}

func (s *source) consume(ctx context.Context, conn *link.Conn, w queue.Want) (*session, error) {
	js, err := s.open(conn)
	if err != nil {
		return nil, err
	}
	c, made, err := s.consumer(ctx, js, w)
	if err != nil {
		return nil, err
	}
	return newSession(s, conn, c, made, w.Prefetch), nil
}

func (s *source) open(conn *link.Conn) (jetstream.JetStream, error) {
	if s.cfg.Domain != "" {
		return jetstream.NewWithDomain(conn.Conn, s.cfg.Domain)
	}
	return jetstream.New(conn.Conn)
}

// Topic implements [queue.Topics]: a subject that a stream has.
func (s *source) Topic(d string) (trigger.Destination, error) {
	if err := link.CheckSubject(d, false); err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	return &topic{subject: d, src: s}, nil
}

// Close ends what was published over.
func (s *source) Close() error {
	s.topics.Close()
	return nil
}

// topic sends letters to a subject. A letter is sent once a stream has it.
type topic struct {
	subject string
	src     *source
}

// Send implements [trigger.Destination].
func (t *topic) Send(ctx context.Context, l *letter.Letter) error {
	conn, err := t.src.topics.Conn(ctx)
	if err != nil {
		return err
	}
	js, err := t.src.open(conn)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, t.src.cfg.PublishTimeout.Std())
	defer cancel()
	_, err = js.PublishMsg(ctx, link.Letter(t.subject, l))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		err = event.Permanent(err)
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		err = fmt.Errorf("no stream has that subject: %w", err)
	}
	return fmt.Errorf("publish to %q: %w", t.subject, err)
}
