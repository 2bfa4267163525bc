package v3io

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"sync"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// source opens sessions, and says how many shards there are.
type source struct {
	cfg   Config
	log   *slog.Logger
	web   *web
	start trigger.Start // as the spec says it

	mu      sync.Mutex
	count   int32         // of shards; 0: not known yet
	changed chan struct{} // closed and made anew when it changes
}

var _ stream.Source = (*source)(nil)

// topic names the stream in events: container/path.
func (s *source) topic() string { return path.Join(s.cfg.ContainerName, s.cfg.StreamPath) }

// open makes the way to the stream, which connects when it is used.
func (s *source) open() (*api, error) {
	c, err := s.web.open()
	if err != nil {
		return nil, err
	}
	return &api{web: s.web, client: c, stream: s.topic()}, nil
}

// Connect implements [stream.Source].
func (s *source) Connect(ctx context.Context, w stream.Want, host stream.Shards) (stream.Session, error) {
	a, err := s.open()
	if err != nil {
		return nil, err
	}
	n := newSession(s, a, w, host)
	if err := n.describe(ctx); err != nil {
		a.client.CloseIdleConnections()
		return nil, err
	}
	n.ends.Go(n.watch)
	return n, nil
}

// explain says what a refusal means.
func (s *source) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errDenied):
		return fmt.Errorf("read stream %q at %s: %w: %w", s.topic(), s.web.base.Host, errDenied, err)
	case errors.Is(err, errAbsent):
		return fmt.Errorf("stream %q is not there: %w", s.topic(), err)
	case errors.Is(err, errThrottled):
		return fmt.Errorf("read stream %q: %w: %w", s.topic(), errThrottled, err)
	}
	return fmt.Errorf("read stream %q at %s: %w", s.topic(), s.web.base.Host, err)
}

// sees notes how many shards the stream has.
func (s *source) sees(count int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == count {
		return
	}
	if s.count > 0 {
		s.log.Info("the stream has another number of shards", "stream", s.topic(), "before", s.count, "now", count)
	}
	s.count = count
	close(s.changed)
	s.changed = make(chan struct{})
}

// find waits until there are other shards than known: it is the assignment's Find.
func (s *source) find(ctx context.Context, known []trigger.Shard) ([]trigger.Shard, error) {
	for {
		s.mu.Lock()
		count, changed := s.count, s.changed
		s.mu.Unlock()
		if count > 0 && int(count) != len(known) {
			all := make([]trigger.Shard, count)
			for i := range all {
				all[i] = trigger.Shard{Topic: s.topic(), N: int32(i)} //nolint:gosec // count is one
			}
			return all, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
