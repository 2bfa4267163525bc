package redislist

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
)

var _ queue.Watched = (*source)(nil)

// lag is what waits in the lists, and what was taken and is not done.
func (s *source) lag(ctx context.Context, client *redis.Client) (sum int64, err error) {
	for _, list := range s.cfg.Lists {
		n, err := waiting.Run(ctx, client, []string{list, prefix + list + owners}, prefix+list+taken).Int64()
		if err != nil {
			return 0, fmt.Errorf("ask for the length of list %q: %w", list, s.explain(err))
		}
		sum += n
	}
	return sum, nil
}

// Watch implements [queue.Watched].
func (s *source) Watch() (trigger.Waiter, error) { return &watcher{src: s}, nil }

// watcher asks for the lag without taking anything.
type watcher struct {
	src    *source
	client *redis.Client // nil: not connected
}

// Waiting implements [trigger.Waiter].
func (w *watcher) Waiting(ctx context.Context) (int64, error) {
	if w.client == nil {
		c, err := w.src.to.Client("myelin-watch-"+w.src.family, 0, 4)
		if err != nil {
			return 0, err
		}
		w.client = c
	}
	n, err := w.src.lag(ctx, w.client)
	if err != nil {
		w.Close()
	}
	return n, err
}

// Close implements [trigger.Waiter].
func (w *watcher) Close() {
	if w.client != nil {
		_ = w.client.Close()
		w.client = nil
	}
}
