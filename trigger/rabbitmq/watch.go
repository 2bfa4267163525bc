package rabbitmq

import (
	"context"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/rabbitmq/link"
)

var _ queue.Watched = (*source)(nil)

// Watch implements [queue.Watched].
func (s *source) Watch() (trigger.Waiter, error) { return &watcher{src: s}, nil }

// watcher asks how many messages are ready in the queue. Those that nobody has
// settled are ready again once their consumer has gone.
type watcher struct {
	src  *source
	conn *amqp.Connection // nil: not connected
	ch   *amqp.Channel
}

// Waiting implements [trigger.Waiter].
func (w *watcher) Waiting(ctx context.Context) (int64, error) {
	if w.conn == nil {
		conn, err := w.src.dialer.Dial(ctx)
		if err != nil {
			return 0, err
		}
		w.conn = conn
	}
	// What follows waits for the broker and knows no ctx.
	stop := context.AfterFunc(ctx, func() { link.Discard(w.conn) })
	n, err := w.ask()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		w.Close()
		return 0, fmt.Errorf("ask for queue %q: %w", w.src.cfg.QueueName, err)
	}
	return n, nil
}

func (w *watcher) ask() (n int64, err error) {
	if w.ch == nil {
		if w.ch, err = w.conn.Channel(); err != nil {
			return 0, err
		}
	}
	q, err := w.ch.QueueDeclarePassive(w.src.cfg.QueueName, false, false, false, false, nil)
	return int64(q.Messages), err
}

// Close implements [trigger.Waiter].
func (w *watcher) Close() {
	if w.conn != nil {
		link.Discard(w.conn)
		w.conn, w.ch = nil, nil
	}
}
