package nats_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/stream/nats"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := nats.Factory().New(binding.Settings{Name: "out", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func connect(t *testing.T, addr string, opts ...client.Option) *client.Conn {
	t.Helper()
	c, err := client.Connect("nats://"+addr, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// message is what was published of a message that came.
func message(subject string, header client.Header, value []byte) data.Message {
	m := data.Message{Topic: subject, Value: value}
	for k, vs := range header {
		if k == data.KeyHeader {
			m.Key = []byte(vs[0])
			continue
		}
		m.Headers = append(m.Headers, data.Header{Key: k, Value: vs[0]})
	}
	return m
}

func TestSuite(t *testing.T) {
	s := pool.NATS(t)
	c := connect(t, s.Addr)
	bindingtest.Stream(t, bindingtest.Streams{
		Make: func(t *testing.T) binding.Binding {
			return build(t, function.DataBinding{URL: "nats://" + s.Addr, Path: "suite."})
		},
		Topic: func(t *testing.T, name string) func(int) []data.Message {
			sub, err := c.SubscribeSync("suite." + name)
			if err == nil {
				err = c.Flush()
			}
			if err != nil {
				t.Fatal(err)
			}
			return func(n int) (ms []data.Message) {
				for range n {
					m, err := sub.NextMsg(60 * time.Second)
					if err != nil {
						t.Fatalf("after %d messages: %v", len(ms), err)
					}
					ms = append(ms, message(m.Subject, m.Header, m.Data))
				}
				return ms
			}
		},
	})
}

func TestJetStreamSuite(t *testing.T) {
	s := pool.NATS(t)
	js, err := jetstream.New(connect(t, s.Addr))
	if err != nil {
		t.Fatal(err)
	}
	bindingtest.Stream(t, bindingtest.Streams{
		Make: func(t *testing.T) binding.Binding {
			return build(t, function.DataBinding{Kind: "jetstream", URL: "nats://" + s.Addr, Path: "kept."})
		},
		Missing: "nowhere",
		Topic: func(t *testing.T, name string) func(int) []data.Message {
			stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{"kept." + name}, Storage: jetstream.MemoryStorage})
			if err != nil {
				t.Fatal(err)
			}
			return func(n int) (ms []data.Message) {
				for i := range n {
					m, err := stream.GetMsg(t.Context(), uint64(i+1))
					if err != nil {
						t.Fatalf("message %d: %v", i, err)
					}
					ms = append(ms, message(m.Subject, m.Header, m.Data))
				}
				return ms
			}
		},
	})
}

// A server that was killed is found again, and what was confirmed is there.
func TestServerLost(t *testing.T) {
	s := servers.NATS(t)
	js, err := jetstream.New(connect(t, s.Addr, client.MaxReconnects(-1), client.ReconnectWait(50*time.Millisecond)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "kept", Subjects: []string{"kept"}}); err != nil {
		t.Fatal(err)
	}
	out := data.NewStream(bindingtest.Opened(t, build(t, function.DataBinding{Kind: "jetstream", URL: "nats://" + s.Addr})).(data.Publisher),
		&data.Guard{Name: "out", Timeout: 20 * time.Second})
	if err := out.Publish(t.Context(), data.Message{Topic: "kept", Headers: []data.Header{{Key: "nats-msg-id", Value: "1"}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := out.Publish(t.Context(), data.Message{Topic: "kept"}); !errors.Is(err, data.Away) {
		t.Errorf("gone: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	again := data.Message{Topic: "kept", Headers: []data.Header{{Key: "Nats-Msg-Id", Value: "1"}}}
	for until := time.Now().Add(60 * time.Second); out.Publish(t.Context(), again) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("it does not come back")
		}
	}
	stream, err := js.Stream(t.Context(), "kept")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := stream.Info(t.Context()); err != nil || info.State.Msgs != 1 {
		t.Errorf("%+v, %v", info, err)
	}
}

// Who may not publish hears so, and what is the server's is not a function's.
func TestForbidden(t *testing.T) {
	s := servers.NATS(t, servers.Login("ann", "rightful"), servers.Forbid("private"))
	for password, want := range map[string]data.Reason{"": data.Denied, "wrong": data.Denied, "rightful": 0} {
		b := build(t, function.DataBinding{URL: "nats://ann@" + s.Addr, Secret: quantity.Secret(password)})
		if err := b.Open(t.Context()); data.ReasonOf(err) != want || err != nil && strings.Contains(err.Error(), "rightful") {
			t.Errorf("%q: %v", password, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	out := data.NewStream(bindingtest.Opened(t, build(t, function.DataBinding{URL: "nats://ann@" + s.Addr, Secret: "rightful"})).(data.Publisher),
		&data.Guard{Name: "out", Timeout: 20 * time.Second})
	for _, c := range []struct {
		m    data.Message
		want data.Reason
	}{
		{data.Message{Topic: "public"}, 0}, {data.Message{Topic: "private"}, data.Denied}, {data.Message{Topic: "public"}, 0}, {data.Message{Topic: "$JS.API.STREAM.DELETE.x"}, data.Misuse},
		{data.Message{Topic: "a.*"}, data.Misuse}, {data.Message{Topic: "a..b"}, data.Misuse}, {data.Message{Topic: "public", Value: make([]byte, 2<<20)}, data.TooLarge},
		{data.Message{Topic: "public", Headers: []data.Header{{Key: "Nats-Rollup", Value: "all"}}}, data.Misuse}, {data.Message{Topic: "public", Key: []byte("a\r\nb")}, data.Misuse},
	} {
		if err := out.Publish(t.Context(), c.m); data.ReasonOf(err) != c.want {
			t.Errorf("%s: %v, want %v", c.m.Topic, err, c.want)
		}
	}
	err := out.PublishAll(t.Context(), []data.Message{{Topic: "public"}, {Topic: "private"}, {Topic: "public"}})
	var u *data.Unpublished
	if !errors.As(err, &u) || len(u.Failed()) != 1 || u.Errs[1] == nil || !errors.Is(err, data.Denied) {
		t.Errorf("one of three: %v", err)
	}
}
