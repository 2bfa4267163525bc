package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/stream/redis"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := redis.Factory().New(binding.Settings{Name: "out", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func reader(t *testing.T, addr, stream string) func(n int) []data.Message {
	c := client.NewClient(&client.Options{Addr: addr})
	t.Cleanup(func() { _ = c.Close() })
	return func(int) (ms []data.Message) {
		entries, err := c.XRange(context.Background(), stream, "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			var m data.Message
			for k, v := range e.Values {
				switch text, _ := v.(string); k {
				case "body":
					m.Value = []byte(text)
				case "key":
					m.Key = []byte(text)
				default:
					m.Headers = append(m.Headers, data.Header{Key: k, Value: text})
				}
			}
			ms = append(ms, m)
		}
		return ms
	}
}

func TestSuite(t *testing.T) {
	s := pool.Redis(t)
	bindingtest.Stream(t, bindingtest.Streams{
		Make: func(t *testing.T) binding.Binding {
			return build(t, function.DataBinding{URL: "redis://" + s.Addr, Path: "suite:"})
		},
		Topic: func(t *testing.T, name string) func(int) []data.Message { return reader(t, s.Addr, "suite:"+name) },
	})
}

// What one command of many cannot do is that message's error alone, a stream
// keeps about as many entries as it shall, and a server that was away is found again.
func TestFaults(t *testing.T) {
	s := servers.Redis(t)
	out := data.NewStream(bindingtest.Opened(t, build(t, function.DataBinding{URL: "redis://" + s.Addr, Attributes: []byte(`{"maxLength": 100}`)})).(data.Publisher),
		&data.Guard{Name: "out", Timeout: 20 * time.Second})
	c := client.NewClient(&client.Options{Addr: s.Addr})
	defer c.Close()
	if err := c.Set(t.Context(), "text", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	err := out.PublishAll(t.Context(), []data.Message{{Topic: "s", Value: []byte("1")}, {Topic: "text"}, {Topic: "s", Value: []byte("2")}})
	var u *data.Unpublished
	if !errors.As(err, &u) || len(u.Failed()) != 1 || u.Failed()[0] != 1 || !errors.Is(err, data.Misuse) || !strings.Contains(err.Error(), "1 of 3 messages not published; message 1: WRONGTYPE") {
		t.Errorf("%v", err)
	}
	many := make([]data.Message, 1000)
	for i := range many {
		many[i] = data.Message{Topic: "s"}
	}
	if err := out.PublishAll(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	if n := c.XLen(t.Context(), "s").Val(); n < 100 || n > 500 {
		t.Errorf("%d entries", n)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := out.Publish(t.Context(), data.Message{Topic: "s"}); !errors.Is(err, data.Away) {
		t.Errorf("gone: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(60 * time.Second); out.Publish(t.Context(), data.Message{Topic: "s"}) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it does not come back")
		}
	}
}
