package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

var (
	shared servers.Pool
	number atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

func TestSuite(t *testing.T) {
	server := shared.Redis(t)
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			triggertest.QueueSuite(t, triggertest.Guarantees{New: func(t testing.TB) triggertest.Broker { return newBroker(t, server, n) }})
		})
	}
}

func fresh() string { return fmt.Sprintf("s%d", number.Add(1)) }

// broker is streams of one group, and a way to them that can be cut.
type broker struct {
	server  *servers.Server
	streams []string
	proxy   *fault.Proxy
	client  *redis.Client // past the proxy
}

func newBroker(t testing.TB, s *servers.Server, n int) *broker {
	t.Helper()
	p, err := fault.Listen(s.Addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	b := &broker{server: s, proxy: p, client: client(t, s)}
	for range n {
		b.streams = append(b.streams, fresh())
	}
	return b
}

func client(t testing.TB, s *servers.Server) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr, Username: s.User, Password: s.Password, TLSConfig: s.TLS, PoolSize: 2})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"streams": b.streams, "bodyField": "body", "keyField": "key", "minIdle": "2s", "claimInterval": "200ms", "makeStreams": true}
	for k, v := range more {
		m[k] = v
	}
	return m
}

func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return b.at(t, s, "redis://"+b.proxy.Addr(), b.attributes(nil))
}

func (b *broker) at(t testing.TB, s trigger.Settings, url string, attributes map[string]any) trigger.Trigger {
	t.Helper()
	s.Spec.Kind, s.Spec.URL = Kind, url
	raw, err := json.Marshal(attributes)
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	p := b.client.Pipeline()
	for i, r := range rs {
		values := []any{"key", r.Key, "body", r.Body}
		for k, v := range r.Headers {
			values = append(values, k, v)
		}
		p.XAdd(context.Background(), &redis.XAddArgs{Stream: b.streams[i%len(b.streams)], Values: values})
	}
	_, err := p.Exec(context.Background())
	must(t, err)
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	absent, text := fresh(), fresh()
	wrong := s
	wrong.Spec.Username, wrong.Spec.Password = "nobody", quantity.Secret("no")
	ctx, url := context.Background(), "redis://"+b.proxy.Addr()
	must(t, b.client.Set(ctx, text, "x", 0).Err())
	return map[string]triggertest.Broken{
		"password": {Trigger: b.at(t, wrong, url, b.attributes(nil)), Says: `user "nobody" or its password is refused`},
		"stream": {
			Trigger: b.at(t, s, url, b.attributes(map[string]any{"streams": []string{absent}, "makeStreams": false})),
			Mend:    func() { must(t, b.client.XAdd(ctx, &redis.XAddArgs{Stream: absent, Values: []any{"a", "b"}}).Err()) },
			Says:    fmt.Sprintf("stream %q is not there", absent),
		},
		"no stream": {
			Trigger: b.at(t, s, url, b.attributes(map[string]any{"streams": []string{text}})),
			Mend:    func() { must(t, b.client.Del(ctx, text).Err()) },
			Says:    fmt.Sprintf("the key %q is no stream", text),
		},
		"database": {Trigger: b.at(t, s, url+"/99", b.attributes(nil)), Says: "DB index is out of range"},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
