package kinesis

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/dealing"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const suiteShards = 4

var (
	pool  servers.Pool
	fresh atomic.Int64
)

func TestMain(m *testing.M) {
	if mortal.Main(func(arg string) (trigger.Trigger, error) {
		url, attributes, _ := strings.Cut(arg, "\n")
		s := trigger.Settings{Name: "in", Function: "f", Workers: 4, Spec: function.Trigger{URL: url, Secret: "secret", Delivery: function.Delivery{CheckpointInterval: quantity.Duration(20 * time.Millisecond)}}}
		return Factory().New(s, []byte(attributes))
	}) {
		return
	}
	mortal.Beside()
	os.Exit(pool.Run(m))
}

// TestSuite: what every stream promises, with shards that a dealer deals.
func TestSuite(t *testing.T) {
	pool.Kinesis(t) // before goroutines are counted
	pool.Moto(t)
	d := dealing.Start(t, 10*time.Second)
	triggertest.StreamSuite(t, triggertest.Guarantees{NoHeaders: true, Parallel: true, New: func(t testing.TB) triggertest.Broker {
		b := newBroker(t)
		b.dealer = d
		return b
	}})
}

// TestFanOutSuite: likewise, where the service sends what comes.
func TestFanOutSuite(t *testing.T) {
	pool.Kinesis(t)
	pool.Moto(t)
	d := dealing.Start(t, 10*time.Second)
	triggertest.StreamSuite(t, triggertest.Guarantees{NoHeaders: true, Parallel: true, Brief: true, New: func(t testing.TB) triggertest.Broker {
		b := newBroker(t)
		b.dealer, b.consumer = d, "suite"
		return b
	}})
}

// broker is a service with one stream, and a way to it that can be cut.
type broker struct {
	addr, table string // of the service, and of the one that has the checkpoints
	name        string // of the stream, and of what else is to be its own
	consumer    string // with enhanced fan-out
	client      *amazon.Client
	tables      *amazon.Client
	proxy       *fault.Proxy
	edge        *edge
	dealer      *dealing.Dealer
}

func newBroker(t testing.TB) *broker {
	t.Helper()
	return brokerAt(t, pool.Kinesis(t).Addr, suiteShards)
}

func brokerAt(t testing.TB, addr string, shards int) *broker {
	t.Helper()
	b := &broker{addr: addr, table: pool.Moto(t).Addr, name: fmt.Sprintf("s%d", fresh.Add(1)), client: clientOf(t, addr, service)}
	b.tables = clientOf(t, b.table, database)
	b.edge = newEdge(t, addr)
	p, err := fault.Listen(b.edge.addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	b.proxy = p
	b.create(t, b.name, shards)
	return b
}

// clientOf calls a service itself.
func clientOf(t testing.TB, addr string, s amazon.Service) *amazon.Client {
	t.Helper()
	at, err := amazon.At(trigger.Settings{Spec: function.Trigger{URL: "http://KEY@" + addr, Secret: "secret"}}, amazon.Defaults())
	must(t, err)
	c, err := at.Open(s)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// call does an action. The service makes few streams at once, as Amazon's does: then
// it is asked again.
func (b *broker) call(t testing.TB, action string, in map[string]any, out any) {
	t.Helper()
	eventually(t, action, func() bool {
		err := b.client.Call(context.Background(), action, 0, in, out)
		if amazon.Is(err, "LimitExceededException") {
			return false
		}
		must(t, err)
		return true
	})
}

func (b *broker) create(t testing.TB, name string, shards int) {
	t.Helper()
	b.call(t, "CreateStream", map[string]any{"StreamName": name, "ShardCount": shards}, nil)
	b.active(t, name)
}

// active waits until a change of a stream is made.
func (b *broker) active(t testing.TB, name string) {
	t.Helper()
	eventually(t, "the stream", func() bool {
		var out struct {
			StreamDescriptionSummary struct{ StreamStatus string }
		}
		err := b.client.Call(context.Background(), "DescribeStreamSummary", 0, map[string]any{"StreamName": name}, &out)
		return err == nil && out.StreamDescriptionSummary.StreamStatus == "ACTIVE"
	})
}

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"streamName": b.name, "iteratorType": "TRIM_HORIZON", "checkpointURL": "http://" + b.table, "checkpointTable": "places",
		"requestsPerSecond": 50, "pollingPeriod": "100ms", "describeInterval": "300ms"}
	if b.consumer != "" {
		m["consumerName"] = b.consumer
	}
	maps.Copy(m, more)
	return m
}

func (b *broker) at(t testing.TB, s trigger.Settings, more map[string]any) trigger.Trigger {
	t.Helper()
	s.Spec.Kind = Kind
	if s.Spec.URL == "" {
		s.Spec.URL = "http://KEY@" + b.proxy.Addr()
	}
	s.Spec.Secret = "secret"
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
func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	const most = 500 // that the service takes at once
	for ; len(rs) > 0; rs = rs[min(len(rs), most):] {
		var all []map[string]any
		for _, r := range rs[:min(len(rs), most)] {
			all = append(all, map[string]any{"PartitionKey": keyOf(r.Key, r.Body), "Data": []byte(r.Body)})
		}
		var out struct{ FailedRecordCount int }
		b.call(t, "PutRecords", map[string]any{"StreamName": b.name, "Records": all}, &out)
		if out.FailedRecordCount > 0 {
			t.Fatalf("%d records were not taken", out.FailedRecordCount)
		}
	}
}

// keyOf is a record's key: the service wants one.
func keyOf(key, body string) string {
	if key == "" {
		return body
	}
	return key
}

// put sends a record.
func (b *broker) put(t testing.TB, key string, body []byte) (shard, sequence string) {
	t.Helper()
	var out struct{ ShardId, SequenceNumber string }
	b.call(t, "PutRecord", map[string]any{"StreamName": b.name, "PartitionKey": key, "Data": body}, &out)
	return out.ShardId, out.SequenceNumber
}

// Cut implements [triggertest.Cutter].
func (b *broker) Cut(t testing.TB) {
	must(t, b.proxy.Cut())
	must(t, b.proxy.Restore())
}

// Away implements [triggertest.Switch].
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }

// Back implements [triggertest.Switch].
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

// Broken implements [triggertest.Breaker]. The service of the tests asks nobody who he
// is, so what refuses a key here is before it.
func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	s.Namespace, s.Shards = b.name, b.dealer.Assigner()
	guarded := newEdge(t, b.addr)
	guarded.refuse("", 400, "UnrecognizedClientException")
	wrong, none := s, s
	wrong.Spec.URL = "http://KEY@" + guarded.addr
	none.Shards, none.Name = b.dealer.Assigner(), "absent"
	return map[string]triggertest.Broken{
		"key": {Trigger: b.at(t, wrong, nil), Mend: func() { guarded.refuse("", 0, "") }, Says: "the key is not known"},
		"stream": {
			Trigger: b.at(t, none, map[string]any{"streamName": b.name + "-absent"}),
			Mend:    func() { b.create(t, b.name+"-absent", 2) },
			Says:    fmt.Sprintf("stream %q is not there", b.name+"-absent"),
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
