package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// TestStreamSuite runs the suite against Kafka, behind a proxy that cuts.
func TestStreamSuite(t *testing.T) {
	if testing.Short() {
		t.Skip("Kafka takes a while to start")
	}
	var proxy *fault.Proxy
	k := servers.Kafka(t, servers.Advertise(func(addr string) string {
		var err error
		if proxy, err = fault.Listen(addr); err != nil {
			t.Fatal(err)
		}
		return proxy.Addr()
	}))
	t.Cleanup(func() { _ = proxy.Close() })
	guarded := servers.Kafka(t, servers.Login("ann", "letmein"))
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			triggertest.StreamSuite(t, triggertest.Guarantees{Patience: patience, Forever: []string{"github.com/myelin-run/myelin/test/fault.(*Proxy).accept"},
				New: func(t testing.TB) triggertest.Broker {
					b := &broker{addr: k.Advertised, proxy: proxy, guarded: guarded.Addr, protocol: protocol, topic: name("suite")}
					b.cl = clientOf(t, b.addr)
					b.make(t, b.topic)
					return b
				}})
		})
	}
}

// broker is one topic for one check of the suite.
type broker struct {
	addr, guarded, protocol, topic string
	proxy                          *fault.Proxy
	cl                             *kgo.Client
}

func clientOf(t testing.TB, addr string) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func (b *broker) make(t testing.TB, topic string) {
	t.Helper()
	if _, err := kadm.NewClient(b.cl).CreateTopic(context.Background(), 6, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

// Trigger implements [triggertest.Broker].
func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return b.of(t, s, b.addr, b.topic, "")
}

func (b *broker) of(t testing.TB, s trigger.Settings, addr, topic, more string) trigger.Trigger {
	t.Helper()
	trg, err := Factory().New(s, json.RawMessage(fmt.Sprintf(`{"brokers": [%q], "topics": [%q], "consumerGroup": %q, "groupProtocol": %q,
		"sessionTimeout": "6s", "heartbeatInterval": "100ms", "dialTimeout": "1s" %s}`, addr, topic, "group-"+b.topic, b.protocol, more)))
	if err != nil {
		t.Fatal(err)
	}
	return trg
}

// Produce implements [triggertest.Broker].
func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	var out []*kgo.Record
	for _, r := range rs {
		rec := &kgo.Record{Topic: b.topic, Value: []byte(r.Body)}
		if r.Key != "" {
			rec.Key = []byte(r.Key)
		}
		for k, v := range r.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
		}
		out = append(out, rec)
	}
	if err := b.cl.ProduceSync(context.Background(), out...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// Cut implements [triggertest.Cutter].
func (b *broker) Cut(testing.TB) { b.proxy.Reset() }

// Away implements [triggertest.Switch].
func (b *broker) Away(t testing.TB) {
	t.Helper()
	if err := b.proxy.Cut(); err != nil {
		t.Fatal(err)
	}
}

// Back implements [triggertest.Switch].
func (b *broker) Back(t testing.TB) {
	t.Helper()
	if err := b.proxy.Restore(); err != nil {
		t.Fatal(err)
	}
}

// Broken implements [triggertest.Breaker].
func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	t.Helper()
	absent := name("absent")
	return map[string]triggertest.Broken{
		"wrong password": {Trigger: b.of(t, s, b.guarded, b.topic, `, "sasl": {"user": "ann", "password": "guess"}`), Says: `refuses the user "ann"`},
		"no password":    {Trigger: b.of(t, s, b.guarded, b.topic, ""), Says: "hangs up"},
		"absent topic":   {Trigger: b.of(t, s, b.addr, absent, ""), Says: absent, Mend: func() { b.make(t, absent) }},
		"absent broker":  {Trigger: b.of(t, s, "127.0.0.1:1", b.topic, ""), Says: "refused"},
	}
}
