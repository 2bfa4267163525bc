package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// topic sends letters to a channel. A letter is sent once the server has it;
// whether anybody listens is not asked.
type topic struct {
	src     *source
	channel string

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
		return event.Permanent(fmt.Errorf("publish to %q: %d bytes are too large for Redis", t.channel, len(body)))
	}
	publish := c.Publish
	if t.src.cfg.Sharded {
		publish = c.SPublish
	}
	err = publish(ctx, t.channel, body).Err()
	if err == nil {
		return nil
	}
	if link.Refuses(ctx, c, len(body), err) {
		err = event.Permanent(fmt.Errorf("it is too large for this Redis: %w", err))
	}
	return fmt.Errorf("publish to %q: %w", t.channel, t.src.explain(err))
}

func (t *topic) open() (*redis.Client, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, errors.New("publish to channel: the trigger has ended")
	}
	if t.client == nil {
		c, err := t.src.to.Client(t.src.name+"-letters", 0, 2)
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
