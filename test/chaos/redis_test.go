package chaos

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
)

// redisStreams are two streams behind a proxy; their producer goes past it, so
// that only the server's deaths cost it confirmations.
type redisStreams struct {
	server *servers.Server
	proxy  *fault.Proxy
	client *redis.Client
}

func newRedis(t *testing.T) *redisStreams {
	s := &redisStreams{server: servers.Redis(t)}
	var err error
	if s.proxy, err = fault.Listen(s.server.Addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.proxy.Close() })
	s.client = redis.NewClient(&redis.Options{Addr: s.server.Addr, MaxRetries: -1})
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

func (s *redisStreams) Trigger(string) string {
	return fmt.Sprintf(`{kind: redis, url: "redis://%s", numWorkers: 4, prefetch: 50, retry: {attempts: -1, backoff: {initial: 50ms, max: 1s}},
        attributes: {streams: [a, b], makeStreams: true, bodyField: body, minIdle: 3s, claimInterval: 500ms, timeout: 1s, connectTimeout: 2s}}`, s.proxy.Addr())
}

func (s *redisStreams) Send(e ledger.Event, done func(error)) {
	stream := []string{"a", "b"}[len(e.Key)%2]
	done(s.client.XAdd(context.Background(), &redis.XAddArgs{Stream: stream, Values: []any{"key", e.Key, "body", e.Body}}).Err())
}

func (s *redisStreams) Broker() *servers.Server { return s.server }
func (s *redisStreams) Proxy() *fault.Proxy     { return s.proxy }
func (s *redisStreams) Silence() time.Duration  { return 4 * time.Second }

// At least once: none lost. A group has no order.
func TestRedis(t *testing.T) { Survive(t, newRedis(t), Promise{Unordered: true}) }
