package v3io

import (
	"context"
	"errors"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

var _ stream.Watched = (*source)(nil)

// Watch implements [stream.Watched].
func (s *source) Watch() (trigger.Waiter, error) {
	if s.start.Where != trigger.Earliest && (s.start.Where != trigger.Anywhere || s.cfg.SeekTo != seekEarliest) {
		return nil, errors.New("records that come to a shard without a checkpoint would be missed unless the group begins at the earliest, so one replica stays")
	}
	return &watcher{src: s}, nil
}

// watcher asks for the lag of the group without claiming a shard.
type watcher struct {
	src *source
	api *api // nil: not open
}

// Waiting implements [trigger.Waiter].
func (w *watcher) Waiting(ctx context.Context) (int64, error) {
	if w.api == nil {
		a, err := w.src.open()
		if err != nil {
			return 0, err
		}
		w.api = a
	}
	n, err := w.ask(ctx)
	if err != nil {
		w.Close()
		return 0, w.src.explain(err)
	}
	return n, nil
}

func (w *watcher) ask(ctx context.Context) (n int64, err error) {
	count, err := w.api.describe(ctx)
	if err != nil {
		return 0, err
	}
	for i := range count {
		waits, err := w.of(ctx, i)
		if err != nil {
			return 0, err
		}
		n += waits
	}
	return n, nil
}

// of is what waits in one shard. Where nobody has claimed it yet, all that is in
// it does: whoever claims it says where it begins.
func (w *watcher) of(ctx context.Context, shard int32) (int64, error) {
	committed := w.src.cfg.committed()
	got, err := w.api.attributes(ctx, shard, committed)
	if errors.Is(err, errAbsent) {
		return 0, nil // it has had no record yet
	}
	if err != nil {
		return 0, err
	}
	n := &session{api: w.api}
	end, err := n.end(ctx, shard)
	if err != nil {
		return 0, err
	}
	return max(end-1-got[committed], 0), nil
}

// Close implements [trigger.Waiter].
func (w *watcher) Close() {
	if w.api != nil {
		w.api.client.CloseIdleConnections()
		w.api = nil
	}
}
