package v3io

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/dealing"
	"github.com/myelin-run/myelin/test/fault"
	platform "github.com/myelin-run/myelin/test/v3io"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const (
	key         = "e8bd4ca2-537b-4175-bf01-8c74963e90bf"
	suiteShards = 6
)

var fresh atomic.Int64

// TestSuite: what every stream promises, with shards that a dealer deals.
func TestSuite(t *testing.T) {
	d := dealing.Start(t, 3*time.Second)
	triggertest.StreamSuite(t, triggertest.Guarantees{NoHeaders: true, Parallel: true, New: func(t testing.TB) triggertest.Broker {
		b := newBroker(t)
		b.dealer = d
		return b
	}})
}

// broker is a platform with one stream, and a way to it that can be cut.
type broker struct {
	*platform.Server
	name   string // of the stream, and of what else is to be its own
	proxy  *fault.Proxy
	dealer *dealing.Dealer
}

func newBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{Server: platform.Start(t, key), name: fmt.Sprintf("s%d", fresh.Add(1))}
	p, err := fault.Listen(b.Addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	b.proxy = p
	b.Create(b.stream(), suiteShards)
	return b
}

func (b *broker) stream() string { return "projects/in/" + b.name }

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"containerName": "projects", "streamPath": "/in/" + b.name, "consumerGroup": "g", "pollingIntervalMs": 10, "describeInterval": "100ms"}
	for k, v := range more {
		m[k] = v
	}
	return m
}

func (b *broker) at(t testing.TB, s trigger.Settings, more map[string]any) trigger.Trigger {
	t.Helper()
	s.Spec.Kind = Kind
	if s.Spec.URL == "" {
		s.Spec.URL = "http://" + b.proxy.Addr()
	}
	if s.Spec.Password == "" {
		s.Spec.Password = key
	}
	raw, err := json.Marshal(b.attributes(more))
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

// Trigger implements [triggertest.Broker]: each is another processor.
func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	s.Namespace, s.Shards = b.name, b.dealer.Assigner() // a table for each check
	return b.at(t, s, nil)
}

// Produce implements [triggertest.Broker].
func (b *broker) Produce(_ testing.TB, rs ...triggertest.Record) {
	for _, r := range rs {
		b.Put(b.stream(), platform.Record{PartitionKey: r.Key, Data: []byte(r.Body)})
	}
}

// Cut implements [triggertest.Cutter]: the server is killed, and there again.
func (b *broker) Cut(t testing.TB) {
	b.Kill()
	must(t, b.Serve())
}

// Away implements [triggertest.Switch].
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }

// Back implements [triggertest.Switch].
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

// Broken implements [triggertest.Breaker].
func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	s.Namespace, s.Shards = b.name, b.dealer.Assigner()
	wrong, absent := s, s
	wrong.Spec.Password = quantity.Secret("00000000-0000-0000-0000-000000000000")
	absent.Shards, absent.Name = b.dealer.Assigner(), "absent"
	return map[string]triggertest.Broken{
		"key": {Trigger: b.at(t, wrong, nil), Says: "the access key or password is refused"},
		"stream": {
			Trigger: b.at(t, absent, map[string]any{"streamPath": "absent"}),
			Mend:    func() { b.Create("projects/absent", 2) },
			Says:    `stream "projects/absent" is not there`,
		},
	}
}

func settings(t testing.TB) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Workers: 4, Letters: lost{t}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
