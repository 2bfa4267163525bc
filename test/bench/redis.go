package main

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	redistrigger "github.com/myelin-run/myelin/trigger/redis"
)

// stream is one stream of Redis, which both sides read in one group.
type stream struct {
	addr   string
	client *redis.Client
}

const benchGroup = "bench"

func openRedis(ctx context.Context, h servers.T) (messages, error) {
	s, err := start(h, servers.Redis)
	if err != nil {
		return nil, err
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr})
	h.Cleanup(func() { _ = c.Close() })
	return &stream{s.Addr, c}, c.XGroupCreateMkStream(ctx, benchQueue, benchGroup, "0").Err()
}

func (s *stream) fill(ctx context.Context, n int, pause time.Duration) error {
	if err := s.client.XTrimMaxLen(ctx, benchQueue, 0).Err(); err != nil {
		return err
	}
	body, most := make([]byte, queueBody), 1000
	if pause > 0 {
		most = 1
	}
	for n > 0 {
		time.Sleep(pause)
		stamp(body)
		p := s.client.Pipeline()
		for range min(n, most) {
			p.XAdd(ctx, &redis.XAddArgs{Stream: benchQueue, Values: []any{"body", body}})
			n--
		}
		if _, err := p.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) trigger() (trigger.Factory, function.Trigger) {
	return redistrigger.Factory(), function.Trigger{Kind: redistrigger.Kind, URL: "redis://" + s.addr,
		Attributes: attributes(map[string]any{"streams": []string{benchQueue}, "group": benchGroup, "bodyField": "body"})}
}

// bare reads as many at once as the engine asks for, and acks them at once.
func (s *stream) bare(ctx context.Context, seen func([]byte)) error {
	for ctx.Err() == nil {
		read, err := s.client.XReadGroup(ctx, &redis.XReadGroupArgs{Group: benchGroup, Consumer: "bare", Streams: []string{benchQueue, ">"}, Count: 64, Block: 1e8}).Result()
		if errors.Is(err, redis.Nil) || ctx.Err() != nil {
			continue
		}
		if err != nil {
			return err
		}
		var ids []string
		for _, m := range read[0].Messages {
			b, _ := m.Values["body"].(string)
			seen([]byte(b))
			ids = append(ids, m.ID)
		}
		if err := s.client.XAck(context.WithoutCancel(ctx), benchQueue, benchGroup, ids...).Err(); err != nil {
			return err
		}
	}
	return nil
}
