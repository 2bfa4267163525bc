package nats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/nats/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

// source opens sessions of the subjects.
type source struct {
	cfg      Config
	subjects []string
	group    string // "": none
	log      *slog.Logger
	dialer   *link.Dialer
	topics   *link.Publisher
	lost     atomic.Int64 // messages that came faster than they were taken
}

var (
	_ queue.Source = (*source)(nil)
	_ queue.Topics = (*source)(nil)
	_ io.Closer    = (*source)(nil)
)

// Connect implements [queue.Source].
func (s *source) Connect(ctx context.Context, w queue.Want) (queue.Session, error) {
	if w.Seek {
		s.log.Warn("NATS core keeps no messages: there is nothing to seek in")
	}
	conn, err := s.dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	q := &session{src: s, conn: conn, in: make(chan *nats.Msg, s.cfg.Pending), drained: make(chan struct{})}
	if err := q.subscribe(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

// Topic implements [queue.Topics]: a subject.
func (s *source) Topic(d string) (trigger.Destination, error) {
	if err := link.CheckSubject(d, false); err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	return &topic{subject: d, to: s.topics}, nil
}

// Close ends what was published over.
func (s *source) Close() error {
	s.topics.Close()
	return nil
}

// topic sends letters to a subject. A letter is sent once the server has it;
// whether anybody listens the server does not tell.
type topic struct {
	subject string
	to      *link.Publisher
}

// Send implements [trigger.Destination].
func (t *topic) Send(ctx context.Context, l *letter.Letter) error {
	conn, err := t.to.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.PublishMsg(link.Letter(t.subject, l))
	if err == nil {
		err = conn.Sync(ctx)
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		err = event.Permanent(err)
	}
	if err != nil {
		return fmt.Errorf("publish to %q: %w", t.subject, err)
	}
	return nil
}
