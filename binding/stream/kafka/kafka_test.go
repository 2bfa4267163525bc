package kafka_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/stream/kafka"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := kafka.Factory().New(binding.Settings{Name: "out", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// topic makes a topic of one shard and returns how it is read.
func topic(t *testing.T, addr, name string) func(n int) []data.Message {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	one := kmsg.NewCreateTopicsRequestTopic()
	one.Topic, one.NumPartitions, one.ReplicationFactor = name, 1, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics, req.TimeoutMillis = append(req.Topics, one), 60_000
	resp, err := req.RequestWith(t.Context(), cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Fatal(err)
	}
	return func(n int) (ms []data.Message) {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		for len(ms) < n && ctx.Err() == nil {
			cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				m := data.Message{Topic: r.Topic, Key: r.Key, Value: r.Value}
				for _, h := range r.Headers {
					m.Headers = append(m.Headers, data.Header{Key: h.Key, Value: string(h.Value)})
				}
				ms = append(ms, m)
			})
		}
		if len(ms) < n {
			t.Fatalf("%d messages, want %d", len(ms), n)
		}
		return ms
	}
}

func TestSuite(t *testing.T) {
	s := pool.Kafka(t)
	bindingtest.Stream(t, bindingtest.Streams{
		Make: func(t *testing.T) binding.Binding {
			return build(t, function.DataBinding{URL: "kafka://" + s.Addr, Path: "suite.", Attributes: []byte(`{"timeout": "60s", "compression": "zstd"}`)})
		},
		Missing: "nowhere",
		Topic:   func(t *testing.T, name string) func(int) []data.Message { return topic(t, s.Addr, "suite."+name) },
	})
	out := data.NewStream(bindingtest.Opened(t, build(t, function.DataBinding{URL: s.Addr})).(data.Publisher), nil)
	for _, bad := range []string{"..", "a/b", "ä"} {
		if err := out.Publish(t.Context(), data.Message{Topic: bad}); !errors.Is(err, data.Misuse) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	topic(t, s.Addr, "large")
	if err := out.Publish(t.Context(), data.Message{Topic: "large", Value: make([]byte, 2<<20)}); !errors.Is(err, data.TooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// A broker that was killed is found again, with a password and over TLS.
func TestServerLost(t *testing.T) {
	s := servers.Kafka(t, servers.Login("ann", "rightful"), servers.WithTLS())
	attributes := []byte(`{"timeout": "5s", "sasl": {"mechanism": "SCRAM-SHA-256", "user": "ann"}, "tls": {"caFile": "` + s.CAFile() + `"}}`)
	refused := build(t, function.DataBinding{URL: s.Addr, Secret: "wrong", Attributes: attributes})
	if err := refused.Open(t.Context()); !errors.Is(err, data.Denied) || strings.Contains(err.Error(), "rightful") {
		t.Errorf("wrong password: %v", err)
	}
	if err := refused.Close(); err != nil {
		t.Error(err)
	}
	b := bindingtest.Opened(t, build(t, function.DataBinding{URL: s.Addr, Secret: quantity.Secret("rightful"), Attributes: attributes}))
	out := data.NewStream(b.(data.Publisher), &data.Guard{Name: "out", Timeout: 30 * time.Second})
	if err := out.Publish(t.Context(), data.Message{Topic: "nowhere"}); !errors.Is(err, data.NotFound) {
		t.Errorf("no topic: %v", err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := out.Publish(t.Context(), data.Message{Topic: "nowhere"}); !errors.Is(err, data.Away) && !errors.Is(err, data.Timeout) {
		t.Errorf("gone: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(120 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := out.Publish(t.Context(), data.Message{Topic: "nowhere"})
		if errors.Is(err, data.NotFound) { // the broker says so
			break
		}
		if time.Now().After(until) {
			t.Fatalf("it does not come back: %v", err)
		}
	}
}

func TestMistakes(t *testing.T) {
	for says, spec := range map[string]function.DataBinding{
		"url: ":                             {},
		"secret: is the password of a user": {URL: "h:1", Secret: "s"},
		"attributes.sasl.user: is required": {URL: "h:1", Attributes: []byte(`{"sasl": {"mechanism": "PLAIN"}}`)},
		"compression: ":                     {URL: "h:1", Attributes: []byte(`{"compression": "lzo"}`)},
		"sasl.mechanism: ":                  {URL: "h:1", Attributes: []byte(`{"sasl": {"mechanism": "MD5"}}`)},
	} {
		_, err := kafka.Factory().New(binding.Settings{Spec: spec}, spec.Attributes)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", says, err)
		}
	}
}
