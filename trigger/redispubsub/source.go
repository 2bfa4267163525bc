package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// source opens sessions, each of which is one connection that subscribes.
type source struct {
	cfg  Config
	log  *slog.Logger
	to   *link.Server
	name string       // of connections, as the server lists them
	lost atomic.Int64 // messages that came faster than they were taken

	mu     sync.Mutex
	topics []*topic
}

var (
	_ queue.Source = (*source)(nil)
	_ queue.Topics = (*source)(nil)
	_ io.Closer    = (*source)(nil)
)

// Connect implements [queue.Source].
func (s *source) Connect(ctx context.Context, w queue.Want) (queue.Session, error) {
	if w.Seek {
		s.log.Warn("channels keep no messages: there is nothing to seek in")
	}
	client, err := s.to.Client(s.name, 0, 1)
	if err != nil {
		return nil, err
	}
	q := &session{src: s, client: client, sub: client.Subscribe(ctx), in: make(chan *redis.Message, s.cfg.Pending), ended: make(chan struct{})}
	if err := q.subscribe(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe at %s: %w", s.to.Host, s.explain(err)), q.sub.Close(), client.Close())
	}
	q.heard.Store(time.Now().UnixNano())
	background, cancel := context.WithCancel(context.Background())
	q.stop = cancel
	q.wg.Go(q.read)
	q.wg.Go(func() { q.ping(background) })
	return q, nil
}

// explain says what Redis's refusals mean.
func (s *source) explain(err error) error {
	if s.cfg.Sharded && strings.HasPrefix(err.Error(), "ERR unknown command") {
		return fmt.Errorf("this server has no sharded channels, which Redis has since 7: %w", err)
	}
	return s.to.Explain(err)
}

// Topic implements [queue.Topics]: another channel.
func (s *source) Topic(channel string) (trigger.Destination, error) {
	t := &topic{src: s, channel: channel}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics = append(s.topics, t)
	return t, nil
}

// Close ends what letters were sent over.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, t := range s.topics {
		errs = append(errs, t.close())
	}
	return errors.Join(errs...)
}
