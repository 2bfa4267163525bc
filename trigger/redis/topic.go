package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// topic is the destination of letters in another stream.
type topic struct {
	src    *source
	stream string

	mu     sync.Mutex
	client *redis.Client
	closed bool
}

// Topic implements [queue.Topics].
func (s *source) Topic(stream string) (trigger.Destination, error) {
	t := &topic{src: s, stream: stream}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics = append(s.topics, t)
	return t, nil
}

// Send implements [trigger.Destination].
func (t *topic) Send(ctx context.Context, l *letter.Letter) error {
	c, err := t.open()
	if err != nil {
		return err
	}
	args := t.command(l)
	if size := longest(args); link.Never(size) {
		return event.Permanent(fmt.Errorf("add to stream %q: a field of %d bytes is too large for Redis", t.stream, size))
	}
	err = c.Do(ctx, args...).Err()
	switch {
	case err == nil:
		return nil
	case link.Refuses(ctx, c, longest(args), err):
		err = event.Permanent(fmt.Errorf("a field is too large for this Redis: %w", err))
	case strings.HasPrefix(err.Error(), "WRONGTYPE"):
		err = fmt.Errorf("the key is no stream: %w", err)
	}
	return fmt.Errorf("add to stream %q: %w", t.stream, t.src.to.Explain(err))
}

func longest(args []any) (n int) {
	for _, a := range args {
		if b, ok := a.([]byte); ok {
			n = max(n, len(b))
		}
	}
	return n
}

// command is the XADD of a letter. Where all fields together are the body, they
// are the headers of the event, and go as they came.
func (t *topic) command(l *letter.Letter) []any {
	r := l.Record()
	args := []any{"xadd", t.stream, "*"}
	field := t.src.cfg.BodyField
	whole := field == ""
	if whole {
		field = "body"
	}
	for _, h := range r.Headers {
		if !strings.EqualFold(h.Key, contentType) || whole && l.Answer == nil {
			args = append(args, h.Key, []byte(h.Value))
		}
	}
	if whole && l.Answer == nil {
		return args
	}
	if args = append(args, field, r.Body); r.ContentType != "" {
		args = append(args, contentType, r.ContentType)
	}
	return args
}

func (t *topic) open() (*redis.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errors.New("add to stream: the trigger has ended")
	}
	if t.client == nil {
		c, err := t.src.client()
		if err != nil {
			return nil, err
		}
		t.client = c
	}
	return t.client, nil
}

func (t *topic) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.client == nil {
		return nil
	}
	return t.client.Close()
}
