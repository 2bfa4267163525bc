package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/redisclient"
)

// told is where Redis tells of keys that changed.
const told = "__redis__:invalidate"

// silence is how long nothing may come before the server is asked whether it is
// there, and how long it may take then.
const silence = 10 * time.Second

// Watch implements [data.KeyWatcher], by the tracking that Redis has for caches
// of clients since 6.0. It has a connection of its own, which tracks for itself.
func (s *store) Watch(ctx context.Context, prefix string, tell func(data.Change)) error {
	o, err := s.Options()
	if err != nil {
		return err
	}
	o.Protocol = 2 // which tells of changes as of messages
	o.OnConnect = func(ctx context.Context, c *redis.Conn) error { return track(ctx, c, s.prefix+prefix) }
	db := redis.NewClient(o)
	defer db.Close()
	heard := db.Subscribe(ctx, told)
	defer context.AfterFunc(ctx, func() { _ = heard.Close() })()
	defer heard.Close()
	asked := false
	for {
		got, err := heard.ReceiveTimeout(ctx, silence)
		var slow net.Error
		switch {
		case ctx.Err() != nil:
			return data.As(data.Timeout, ctx.Err())
		case errors.As(err, &slow) && slow.Timeout() && !asked:
			if err := heard.Ping(ctx); err != nil {
				return redisclient.Reason(err)
			}
			asked = true
			continue
		case err != nil: // also that all keys went at once, which has no list
			return away(err)
		}
		asked = false
		switch got := got.(type) {
		case *redis.Subscription:
			tell(data.Change{})
		case *redis.Message:
			for _, key := range got.PayloadSlice {
				tell(data.Change{Key: strings.TrimPrefix(key, s.prefix)})
			}
		}
	}
}

func away(err error) error {
	if err = redisclient.Reason(err); data.ReasonOf(err) == 0 {
		return data.As(data.Away, err)
	}
	return err
}

// track makes the connection one that hears of keys with a prefix.
func track(ctx context.Context, c *redis.Conn, prefix string) error {
	id, err := c.ClientID(ctx).Result()
	if err != nil {
		return err
	}
	args := []any{"client", "tracking", "on", "redirect", id, "bcast"}
	if prefix != "" {
		args = append(args, "prefix", prefix)
	}
	return c.Do(ctx, args...).Err()
}
