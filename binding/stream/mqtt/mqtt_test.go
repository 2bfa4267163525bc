package mqtt_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/stream/mqtt"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := mqtt.Factory().New(binding.Settings{Name: "out", Function: "f", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func stream(t *testing.T, spec function.DataBinding) *data.Stream {
	t.Helper()
	return data.NewStream(bindingtest.Opened(t, build(t, spec)).(data.Publisher), &data.Guard{Name: "out", Timeout: 60 * time.Second})
}

// listen subscribes a client of another make, and returns how its messages are taken.
func listen(t *testing.T, addr, topic string) func(n int) []data.Message {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *paho.Publish, 10_000)
	ctx, cancel := context.WithCancel(context.Background())
	c := paho.NewClient(paho.ClientConfig{Conn: packets.NewThreadSafeConn(nc), OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
		got <- r.Packet
		return true, nil
	}}})
	t.Cleanup(func() {
		_ = c.Disconnect(&paho.Disconnect{})
		<-c.Done()
		cancel()
	})
	if _, err := c.Connect(ctx, &paho.Connect{ClientID: "reader-" + topic, KeepAlive: 600, CleanStart: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 2}}}); err != nil {
		t.Fatal(err)
	}
	return func(n int) (ms []data.Message) {
		t.Helper()
		for late := time.After(60 * time.Second); len(ms) < n; {
			select {
			case p := <-got:
				ms = append(ms, message(p))
			case <-late:
				t.Fatalf("%d messages, want %d", len(ms), n)
			}
		}
		return ms
	}
}

func message(p *paho.Publish) data.Message {
	m := data.Message{Topic: p.Topic, Value: p.Payload}
	if p.Properties.ContentType != "" {
		m.Headers = append(m.Headers, data.Header{Key: "Content-Type", Value: p.Properties.ContentType})
	}
	for _, u := range p.Properties.User {
		if u.Key == data.KeyHeader {
			m.Key = []byte(u.Value)
		} else {
			m.Headers = append(m.Headers, data.Header{Key: u.Key, Value: u.Value})
		}
	}
	return m
}

func TestSuite(t *testing.T) {
	addr := pool.Mosquitto(t).Addr
	for name, c := range map[string]struct {
		attributes string
		bare       bool
	}{"QoS1": {`{}`, false}, "QoS2": {`{"qos": 2}`, false}, "3.1.1": {`{"version": 3}`, true}} {
		t.Run(name, func(t *testing.T) {
			bindingtest.Stream(t, bindingtest.Streams{
				Make: func(t *testing.T) binding.Binding {
					return build(t, function.DataBinding{URL: "mqtt://" + addr, Path: "suite/", Attributes: []byte(c.attributes)})
				},
				Topic: func(t *testing.T, name string) func(int) []data.Message { return listen(t, addr, "suite/"+name) },
				Bare:  c.bare,
			})
		})
	}
}

// Topics with wildcards and those of the broker are refused; what is retained is
// there for who comes later.
func TestTopics(t *testing.T) {
	addr := pool.Mosquitto(t).Addr
	out := stream(t, function.DataBinding{URL: addr, Attributes: []byte(`{"retain": true}`)})
	for _, m := range []data.Message{{Topic: "a/+"}, {Topic: "#"}, {Topic: "$SYS/x"}, {Topic: "$share/g/x"}, {Topic: "a", Key: []byte("\xff")}} {
		if err := out.Publish(t.Context(), m); !errors.Is(err, data.Misuse) {
			t.Errorf("%q: %v", m.Topic, err)
		}
	}
	if err := out.Publish(t.Context(), data.Message{Topic: "kept/one", Key: []byte("k"), Value: []byte("1"), Headers: []data.Header{{Key: "X", Value: "a\tb"}}}); err != nil {
		t.Fatal(err)
	}
	got := listen(t, addr, "kept/+")(1)[0]
	if got.Topic != "kept/one" || string(got.Value) != "1" || string(got.Key) != "k" || len(got.Headers) != 1 || got.Headers[0].Value != "a b" {
		t.Errorf("%q", got)
	}
}

func TestServerLost(t *testing.T) {
	s := servers.Mosquitto(t, servers.Login("me", "rightful"))
	for password, want := range map[string]data.Reason{"wrong": data.Denied, "rightful": 0} {
		b := build(t, function.DataBinding{URL: "mqtt://me@" + s.Addr, Secret: quantity.Secret(password)})
		if err := b.Open(t.Context()); data.ReasonOf(err) != want || err != nil && strings.Contains(err.Error(), "rightful") {
			t.Errorf("%q: %v", password, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	out := stream(t, function.DataBinding{URL: "mqtt://me@" + s.Addr, Secret: "rightful"})
	if err := out.Publish(t.Context(), data.Message{Topic: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := out.PublishAll(t.Context(), []data.Message{{Topic: "x"}, {Topic: "y"}}); !errors.Is(err, data.Away) {
		t.Errorf("gone: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := out.Publish(t.Context(), data.Message{Topic: "x"})
		if err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("it does not come back: %v", err)
		}
	}
}

// A broker that takes messages and does not confirm them: who has no more time
// hears of it, others too once patience ends, and then it is connected anew.
func TestNoConfirmation(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted, ended := atomic.Int32{}, make(chan struct{})
	t.Cleanup(func() { _ = ln.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_, _ = io.WriteString(c, "\x20\x03\x00\x00\x00") // let in
			t.Cleanup(func() { _ = c.Close() })
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
	}()
	out := stream(t, function.DataBinding{URL: ln.Addr().String(), Attributes: []byte(`{"timeout": "2s"}`)})
	short := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := out.Publish(ctx, data.Message{Topic: "x"}); !errors.Is(err, data.Timeout) {
			t.Errorf("no time: %v", err)
		}
	}
	short()
	if err := out.PublishAll(t.Context(), make100()); !errors.Is(err, data.Away) {
		t.Errorf("no confirmation: %v", err)
	}
	for until := time.Now().Add(60 * time.Second); accepted.Load() < 2; short() {
		if time.Now().After(until) {
			t.Fatal("it does not connect anew")
		}
	}
}

func make100() []data.Message {
	ms := make([]data.Message, 100)
	for i := range ms {
		ms[i].Topic = "x"
	}
	return ms
}

func TestMistakes(t *testing.T) {
	for url, field := range map[string]string{"": "url: ", "http://me:s3cret@h": "url: ", "mqtt://me:s3cret@h/x": "url: ", "mqtt://me:s3cret@h": "attributes.tls: "} {
		_, err := mqtt.Factory().New(binding.Settings{Spec: function.DataBinding{URL: url}}, []byte(`{"tls":{"caFile":"x"}}`))
		if err == nil || !strings.HasPrefix(err.Error(), field) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, attributes := range []string{`{"qos": 0}`, `{"version": 4}`, `{"keepAlive": "1ms"}`} {
		if _, err := mqtt.Factory().New(binding.Settings{Spec: function.DataBinding{URL: "h"}}, []byte(attributes)); err == nil {
			t.Errorf("%s is taken", attributes)
		}
	}
}
