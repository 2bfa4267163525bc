package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
)

var _ queue.Watched = (*source)(nil)

// Watch implements [queue.Watched].
func (s *source) Watch() (trigger.Waiter, error) { return &watcher{src: s}, nil }

// watcher asks for the lag of the group without being a member.
type watcher struct {
	src    *source
	client *redis.Client // nil: not connected
}

// Waiting implements [trigger.Waiter].
func (w *watcher) Waiting(ctx context.Context) (n int64, err error) {
	if w.client == nil {
		if w.client, err = w.src.client(); err != nil {
			return 0, err
		}
	}
	for _, stream := range w.src.cfg.Streams {
		waits, err := w.of(ctx, stream)
		if err != nil {
			w.Close()
			return 0, fmt.Errorf("ask Redis at %s for stream %q: %w", w.src.to.Host, stream, w.src.to.Explain(err))
		}
		n += waits
	}
	return n, nil
}

// of is what waits in one stream, which need not be there.
func (w *watcher) of(ctx context.Context, stream string) (int64, error) {
	groups, err := w.client.XInfoGroups(ctx, stream).Result()
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, g := range groups {
		switch {
		case g.Name != w.src.cfg.Group:
		case g.Lag < 0: // entries were deleted, and Redis does not know
			return 1 + g.Pending, nil
		default:
			return g.Lag + g.Pending, nil
		}
	}
	// Nobody has made the group yet: whoever does says where it begins.
	return w.client.XLen(ctx, stream).Result()
}

// Close implements [trigger.Waiter].
func (w *watcher) Close() {
	if w.client != nil {
		_ = w.client.Close()
		w.client = nil
	}
}
