package imap

import (
	"context"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/imap/wire"
)

// Watch implements [queue.Watched].
func (s *source) Watch() (trigger.Waiter, error) { return &watcher{src: s}, nil }

// watcher asks how many messages are not done.
type watcher struct {
	src  *source
	conn *wire.Conn // nil: not connected
}

// Waiting implements [trigger.Waiter].
func (w *watcher) Waiting(ctx context.Context) (int64, error) {
	if w.conn == nil {
		o, err := w.src.to.options()
		if err != nil {
			return 0, err
		}
		if w.conn, err = wire.Dial(ctx, o); err != nil {
			return 0, err
		}
	}
	item := "MESSAGES"
	if w.src.cfg.After == Seen {
		item = "UNSEEN"
	}
	n, err := w.conn.Status(ctx, w.src.cfg.Mailbox, item)
	if err != nil {
		w.Close()
		return 0, err
	}
	return n, nil
}

// Close implements [trigger.Waiter].
func (w *watcher) Close() {
	if w.conn != nil {
		w.conn.Discard()
		w.conn = nil
	}
}
