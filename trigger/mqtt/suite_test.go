package mqtt

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	five "github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	three "github.com/eclipse/paho.mqtt.golang"

	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

var (
	pool    servers.Pool
	counter atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func TestSuite(t *testing.T) {
	server := pool.Mosquitto(t)
	for name, x := range map[string]struct{ version, qos int }{"5 QoS 1": {5, 1}, "5 QoS 2": {5, 2}, "3.1.1 QoS 1": {3, 1}, "3.1.1 QoS 2": {3, 2}} {
		t.Run(name, func(t *testing.T) {
			triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, NoHeaders: x.version == 3, Sole: true, Parallel: true,
				Brief: testing.Short() && x.version == 3 == (x.qos == 1),
				New:   func(t testing.TB) triggertest.Broker { return newBroker(t, server, x.version, x.qos) }})
		})
	}
}

// broker is a topic of its own, and a way to it that can be cut.
type broker struct {
	server       *servers.Server
	version, qos int
	topic, id    string
	proxy        *fault.Proxy
	put          func(topic string, r triggertest.Record) error // returns when the broker has it
}

// newBroker opens the session once, so that the broker keeps what comes before
// the first trigger runs.
func newBroker(t testing.TB, s *servers.Server, version, qos int) *broker {
	t.Helper()
	p, err := fault.Listen(s.Addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	n := counter.Add(1)
	b := &broker{server: s, version: version, qos: qos, topic: fmt.Sprintf("t%d/x", n), id: fmt.Sprintf("c%d", n), proxy: p}
	if version == 5 {
		b.put = producer5(t, s, byte(qos))
	} else {
		b.put = producer3(t, s, byte(qos))
	}
	b.open(t)
	return b
}

func (b *broker) open(t testing.TB) {
	t.Helper()
	src := b.source(t, trigger.Settings{}, nil)
	q, err := src.Connect(context.Background(), queue.Want{Prefetch: 1})
	must(t, err)
	must(t, q.Close(context.Background()))
}

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"subscriptions": []any{map[string]any{"topic": b.topic, "qos": b.qos}}, "clientID": b.id, "version": b.version, "timeout": "5s"}
	for k, v := range more {
		m[k] = v
	}
	return m
}

// source is what a trigger is made of, past the proxy.
func (b *broker) source(t testing.TB, s trigger.Settings, more map[string]any) *source {
	t.Helper()
	raw, err := json.Marshal(b.attributes(more))
	must(t, err)
	cfg := defaults()
	must(t, json.Unmarshal(raw, &cfg))
	must(t, cfg.Validate())
	if s.Spec.URL == "" {
		s.Spec.URL = "mqtt://" + b.server.Addr
	}
	src, err := newSource(s, cfg)
	must(t, err)
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return b.at(t, s, "mqtt://"+b.proxy.Addr(), b.attributes(nil))
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
	for _, r := range rs {
		must(t, b.put(b.topic, r))
	}
}

func producer5(t testing.TB, s *servers.Server, qos byte) func(string, triggertest.Record) error {
	c := client5(t, s, fmt.Sprintf("p%d", counter.Add(1)), nil)
	return func(topic string, r triggertest.Record) error {
		p := &paho.Publish{Topic: topic, QoS: qos, Payload: []byte(r.Body), Properties: &paho.PublishProperties{}}
		for k, v := range r.Headers {
			p.Properties.User.Add(k, v)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err := c.Publish(ctx, p)
		return err
	}
}

// client5 is a client of another make.
func client5(t testing.TB, s *servers.Server, id string, on func(*paho.Publish)) *paho.Client {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr)
	must(t, err)
	cfg := paho.ClientConfig{Conn: five.NewThreadSafeConn(nc)}
	if on != nil {
		cfg.OnPublishReceived = []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			on(p.Packet)
			return true, nil
		}}
	}
	c := paho.NewClient(cfg)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err = c.Connect(ctx, &paho.Connect{ClientID: id, CleanStart: true, KeepAlive: 60})
	must(t, err)
	t.Cleanup(func() {
		_ = c.Disconnect(&paho.Disconnect{})
		<-c.Done()
	})
	return c
}

func producer3(t testing.TB, s *servers.Server, qos byte) func(string, triggertest.Record) error {
	c := three.NewClient(three.NewClientOptions().AddBroker("tcp://" + s.Addr).SetClientID(fmt.Sprintf("p%d", counter.Add(1))).SetAutoReconnect(false))
	must(t, wait3(c.Connect()))
	t.Cleanup(func() { c.Disconnect(0) })
	return func(topic string, r triggertest.Record) error {
		return wait3(c.Publish(topic, qos, false, r.Body))
	}
}

func wait3(token three.Token) error {
	if !token.WaitTimeout(20 * time.Second) {
		return fmt.Errorf("the broker does not answer")
	}
	return token.Error()
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	closed := servers.Mosquitto(t, servers.Login("me", "right"))
	wrong := s
	wrong.Spec.Username, wrong.Spec.Password = "me", quantity.Secret("wrong")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_ = c.Close()
		}
	}()
	return map[string]triggertest.Broken{
		"password": {Trigger: b.at(t, wrong, "mqtt://"+closed.Addr, b.attributes(nil)), Says: `user "me" or its password is refused`},
		"nobody":   {Trigger: b.at(t, s, "mqtt://"+closed.Addr, b.attributes(nil)), Says: `not authorized (0x87)`},
		"http":     {Trigger: b.at(t, s, "mqtt://"+l.Addr().String(), b.attributes(nil)), Says: "no MQTT broker"},
		"certificate": {
			Trigger: b.at(t, s, "mqtts://"+b.server.Addr, b.attributes(nil)),
			Says:    "tls",
		},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
