package redislist

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// topic is the destination of letters in another list. An element has no
// headers: what a letter says beside the body is in the log.
type topic struct {
	src  *source
	list string

	mu     sync.Mutex
	client *redis.Client
	closed bool
}

// Send implements [trigger.Destination].
func (t *topic) Send(ctx context.Context, l *letter.Letter) error {
	c, err := t.open()
	if err != nil {
		return err
	}
	body := l.Record().Body
	if link.Never(len(body)) {
		return event.Permanent(fmt.Errorf("push to list %q: %d bytes are too large for Redis", t.list, len(body)))
	}
	push := c.RPush
	if t.src.cfg.End == right {
		push = c.LPush
	}
	err = push(ctx, t.list, body).Err()
	switch {
	case err == nil:
		return nil
	case link.Refuses(ctx, c, len(body), err):
		err = event.Permanent(fmt.Errorf("it is too large for this Redis: %w", err))
	case strings.HasPrefix(err.Error(), "WRONGTYPE"):
		err = fmt.Errorf("the key is no list: %w", err)
	}
	return fmt.Errorf("push to list %q: %w", t.list, t.src.to.Explain(err))
}

func (t *topic) open() (*redis.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errors.New("push to list: the trigger has ended")
	}
	if t.client == nil {
		c, err := t.src.to.Client("myelin-letters-"+t.src.family, 0, 4)
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
