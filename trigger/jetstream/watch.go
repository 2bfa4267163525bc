package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/nats/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

var _ queue.Watched = (*source)(nil)

// Watch implements [queue.Watched].
func (s *source) Watch() (trigger.Waiter, error) { return &watcher{src: s}, nil }

// watcher asks for the consumer without pulling from it.
type watcher struct {
	src  *source
	conn *link.Conn // nil: not connected
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
	n, err := w.ask(ctx)
	if err != nil {
		w.Close()
		return 0, fmt.Errorf("ask for consumer %q: %w", w.src.cfg.Consumer, err)
	}
	return n, nil
}

// ask adds what was not delivered and what was not settled. Where nobody has made
// the consumer yet, whoever does says where it begins.
func (w *watcher) ask(ctx context.Context) (int64, error) {
	js, err := w.src.open(w.conn)
	if err != nil {
		return 0, err
	}
	stream, err := w.src.stream(ctx, js)
	if err != nil {
		return 0, err
	}
	c, err := stream.Consumer(ctx, w.src.cfg.Consumer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return int64(stream.CachedInfo().State.Msgs), nil
	case err != nil:
		return 0, err
	}
	info := c.CachedInfo()
	return int64(info.NumPending) + int64(info.NumAckPending), nil
}

// Close implements [trigger.Waiter].
func (w *watcher) Close() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}
