package redislist

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// source opens sessions, each of which is another owner of what it takes.
type source struct {
	cfg    Config
	log    *slog.Logger
	to     *link.Server
	family string // what the names of its owners begin with

	left []string // owners of ours that could not give back what they had; of Connect and Close

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
		s.log.Warn("a list keeps nothing that was done: there is nothing to seek in")
	}
	owner := s.family + rand.Text()[:10]
	client, err := s.to.Client("myelin-"+owner, 0, 4)
	if err != nil {
		return nil, err
	}
	if err := s.join(ctx, client, owner); err != nil {
		return nil, errors.Join(s.explain(err), client.Close())
	}
	q, err := newSession(s, client, owner)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return q, nil
}

func (s *source) join(ctx context.Context, client *redis.Client, owner string) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout.Std()+s.cfg.Timeout.Std())
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("connect to Redis at %s: %w", s.to.Host, err)
	}
	for _, list := range s.cfg.Lists {
		kind, err := client.Type(ctx, list).Result()
		if err != nil {
			return fmt.Errorf("look for list %q: %w", list, err)
		}
		if kind != "list" && kind != "none" {
			return fmt.Errorf("the key %q is no list but a %s", list, kind)
		}
	}
	for len(s.left) > 0 {
		if err := s.giveUp(ctx, client, s.left[0]); err != nil {
			return fmt.Errorf("give back what a lost connection had: %w", err)
		}
		s.left = s.left[1:]
	}
	if err := beat.Run(ctx, client, s.ownersKeys(), owner, s.cfg.Lease.Std().Milliseconds(), "join").Err(); err != nil {
		return fmt.Errorf("join the takers of %s: %w", strings.Join(s.cfg.Lists, ", "), err)
	}
	return nil
}

// giveUp puts back all that an owner of ours has.
func (s *source) giveUp(ctx context.Context, client *redis.Client, owner string) error {
	for _, list := range s.cfg.Lists {
		if err := reclaim.Run(ctx, client, keys(list, owner), owner, s.cfg.End, "own").Err(); err != nil {
			return err
		}
	}
	return nil
}

// keys are those that most scripts want.
func keys(list, owner string) []string {
	return []string{list, prefix + list + owners, prefix + list + taken + owner, prefix + list + counts}
}

func (s *source) ownersKeys() []string {
	out := make([]string, len(s.cfg.Lists))
	for i, list := range s.cfg.Lists {
		out[i] = prefix + list + owners
	}
	return out
}

// explain says what Redis's refusals mean.
func (s *source) explain(err error) error {
	if err != nil && strings.Contains(err.Error(), "WRONGTYPE") {
		return fmt.Errorf("a key is no list, or holds something else beside it: %w", err)
	}
	return s.to.Explain(err)
}

// Topic implements [queue.Topics]: another list.
func (s *source) Topic(list string) (trigger.Destination, error) {
	t := &topic{src: s, list: list}
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
