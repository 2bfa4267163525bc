package jetstream

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

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
	server := shared.NATS(t)
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, BrokerRetries: true,
		New: func(t testing.TB) triggertest.Broker { return newBroker(t, server, map[string]any{"ackWait": "3s"}) }})
}

func fresh() string { return fmt.Sprintf("s%d", number.Add(1)) }

// broker is one stream, which has the subjects below its name, and a way to it
// that can be cut.
type broker struct {
	server     *servers.Server
	stream     string
	proxy      *fault.Proxy
	js         jetstream.JetStream
	attributes map[string]any
}

func newBroker(t testing.TB, s *servers.Server, attributes map[string]any) *broker {
	t.Helper()
	p, err := fault.Listen(s.Addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	b := &broker{server: s, stream: fresh(), proxy: p, js: client(t, s), attributes: map[string]any{}}
	for k, v := range attributes {
		b.attributes[k] = v
	}
	b.makeStream(t, b.stream)
	return b
}

func client(t testing.TB, s *servers.Server) jetstream.JetStream {
	t.Helper()
	opts := []nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond), nats.Timeout(30 * time.Second)}
	if s.Password != "" {
		opts = append(opts, nats.UserInfo(s.User, s.Password))
	}
	if s.TLS != nil {
		opts = append(opts, nats.Secure(s.TLS))
	}
	c, err := nats.Connect("nats://"+s.Addr, opts...)
	must(t, err)
	t.Cleanup(c.Close)
	js, err := jetstream.New(c)
	must(t, err)
	return js
}

func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (b *broker) makeStream(t testing.TB, name string) {
	t.Helper()
	_, err := b.js.CreateStream(limit(t), jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Storage: jetstream.MemoryStorage})
	must(t, err)
}

func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	return b.trigger(t, s, map[string]any{"stream": b.stream})
}

func (b *broker) trigger(t testing.TB, s trigger.Settings, attributes map[string]any) trigger.Trigger {
	t.Helper()
	for k, v := range b.attributes {
		attributes[k] = v
	}
	s.Spec.Kind = Kind
	if s.Spec.URL == "" {
		s.Spec.URL = "nats://" + b.proxy.Addr()
	}
	raw, err := json.Marshal(attributes)
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	for _, r := range rs {
		m := nats.NewMsg(b.stream + ".in")
		m.Data = []byte(r.Body)
		for k, v := range r.Headers {
			m.Header.Set(k, v)
		}
		_, err := b.js.PublishMsg(limit(t), m)
		must(t, err)
	}
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	absent, other := fresh(), fresh()
	consumer := func(stream string, c jetstream.ConsumerConfig) {
		c.Durable = "mine"
		_, err := b.js.CreateOrUpdateConsumer(limit(t), stream, c)
		must(t, err)
	}
	consumer(b.stream, jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, AckWait: 7 * time.Second})
	b.makeStream(t, other)
	consumer(other, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy})
	locked := newBroker(t, servers.NATS(t, servers.Login("ann", "secret")), nil)
	wrong := s
	wrong.Spec.Username, wrong.Spec.Password = "ann", quantity.Secret("no")
	return map[string]triggertest.Broken{
		"password": {Trigger: locked.trigger(t, wrong, map[string]any{"stream": locked.stream}), Says: `user "ann" or its password is refused`},
		"stream": {
			Trigger: b.trigger(t, s, map[string]any{"stream": absent}),
			Mend:    func() { b.makeStream(t, absent) },
			Says:    fmt.Sprintf("stream %q is not there", absent),
		},
		"topic": {Trigger: b.trigger(t, s, map[string]any{"topics": []string{"nowhere.>"}}), Says: `no stream has the topic "nowhere.>"`},
		"mismatch": {
			Trigger: b.trigger(t, s, map[string]any{"stream": b.stream, "consumer": "mine"}),
			Mend: func() {
				consumer(b.stream, jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, AckWait: 3 * time.Second})
			},
			Says: "its ack wait is 7s, wanted is 3s",
		},
		"acks":     {Trigger: b.trigger(t, s, map[string]any{"stream": other, "consumer": "mine"}), Says: "its ack policy is not explicit"},
		"consumer": {Trigger: b.trigger(t, s, map[string]any{"stream": other, "consumer": "none", "topology": "none"}), Says: `consumer "none" of stream`},
	}
}

const patience = 2 * time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
