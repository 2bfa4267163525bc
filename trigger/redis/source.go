package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// source opens sessions of one consumer of a group.
type source struct {
	cfg      Config
	log      *slog.Logger
	to       *link.Server
	start    trigger.Start
	consumer string
	family   string // what the names begin with that this trigger gives its consumers

	mu     sync.Mutex
	topics []*topic
}

var (
	_ queue.Source = (*source)(nil)
	_ queue.Topics = (*source)(nil)
	_ io.Closer    = (*source)(nil)
)

// client makes a client, which connects when it is used. It tries nothing
// again: a read whose answer was lost has been delivered all the same, and is
// found among the pending entries by the next session.
func (s *source) client() (*redis.Client, error) {
	return s.to.Client(s.consumer, s.cfg.Block.Std(), 8)
}

// Connect implements [queue.Source].
func (s *source) Connect(ctx context.Context, w queue.Want) (queue.Session, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	q, err := s.join(ctx, client, w)
	if err != nil {
		_ = client.Close()
		return nil, s.to.Explain(err)
	}
	return q, nil
}

func (s *source) join(ctx context.Context, client *redis.Client, w queue.Want) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout.Std()+s.cfg.Timeout.Std())
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("connect to Redis at %s: %w", s.to.Host, err)
	}
	for _, stream := range s.cfg.Streams {
		if err := s.makeGroup(ctx, client, stream, w); err != nil {
			return nil, err
		}
	}
	q := newSession(s, client)
	id, err := q.reader.ClientID(ctx).Result()
	if err != nil { // not allowed: a stop waits for the end of a read
		s.log.Debug("ask for client id failed", "error", err)
	}
	q.readerID = id
	q.sweepNames(ctx, s.family, longGone)
	return q, nil
}

// makeGroup sees to it that the group reads the stream, and from where.
func (s *source) makeGroup(ctx context.Context, client *redis.Client, stream string, w queue.Want) error {
	at, err := place(w.Start)
	if err != nil {
		return err
	}
	args := []any{"xgroup", "create", stream, s.cfg.Group, at}
	if s.cfg.MakeStreams {
		args = append(args, "mkstream")
	}
	err = client.Do(ctx, args...).Err()
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "BUSYGROUP"):
		if !w.Seek {
			return nil
		}
		if err := client.Do(ctx, "xgroup", "setid", stream, s.cfg.Group, at).Err(); err != nil {
			return fmt.Errorf("move group %q of stream %q: %w", s.cfg.Group, stream, err)
		}
		return nil
	case strings.Contains(err.Error(), "requires the key to exist"):
		return fmt.Errorf("stream %q is not there; makeStreams would make it", stream)
	case strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return fmt.Errorf("the key %q is no stream", stream)
	}
	return fmt.Errorf("make group %q of stream %q: %w", s.cfg.Group, stream, err)
}

// place is the id behind which a group begins to read.
func place(at trigger.Start) (string, error) {
	switch at.Where {
	case trigger.Latest:
		return "$", nil
	case trigger.AtOffset: // milliseconds, as ids begin with
		return before(at.Offset), nil
	case trigger.AtTime:
		return before(at.Time.UnixMilli()), nil
	case trigger.Anywhere, trigger.Earliest:
		return "0", nil
	}
	return "", fmt.Errorf("start: no such place: %d", at.Where)
}

func before(ms int64) string {
	if ms <= 0 {
		return "0"
	}
	return strconv.FormatInt(ms-1, 10) + "-18446744073709551615"
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

// longGone is how long a consumer must have done nothing before its name is
// taken from the group, if it has left nothing.
const longGone = time.Hour
