package sqs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const patience = 2 * time.Minute

var (
	pool    servers.Pool
	counter atomic.Int64
)

func TestMain(m *testing.M) {
	if mortal.Main(func(arg string) (trigger.Trigger, error) {
		url, attributes, _ := strings.Cut(arg, "\n")
		return Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{URL: url, Secret: "secret"}}, []byte(attributes))
	}) {
		return
	}
	mortal.Beside()
	os.Exit(pool.Run(m))
}

func TestSuite(t *testing.T) {
	server := pool.ElasticMQ(t)
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, Parallel: true, Brief: testing.Short(), Patience: patience,
		New: func(t testing.TB) triggertest.Broker { return newBroker(t, server.Addr, "") }})
}

// broker is one queue, and a way to it that can be cut.
type broker struct {
	addr, queue, url string
	visibility       string
	client           *amazon.Client
	proxy            *fault.Proxy
	n                atomic.Int64
}

func newBroker(t testing.TB, addr, suffix string) *broker {
	t.Helper()
	p, err := fault.Listen(addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	b := &broker{addr: addr, queue: fmt.Sprintf("q%d%s", counter.Add(1), suffix), visibility: "60s", client: clientOf(t, addr), proxy: p}
	if strings.HasSuffix(t.Name(), "/Cut") || strings.HasSuffix(t.Name(), "/Away") { // the answers that are cut off have messages
		b.visibility = "3s"
	}
	b.url = b.create(t, b.queue, nil)
	return b
}

// clientOf calls the service itself.
func clientOf(t testing.TB, addr string) *amazon.Client {
	t.Helper()
	c, err := placeOf(t, addr).Open(service)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func placeOf(t testing.TB, addr string) *amazon.Place {
	t.Helper()
	at, err := amazon.At(trigger.Settings{Spec: function.Trigger{URL: "http://KEY@" + addr, Secret: "secret"}}, amazon.Defaults())
	must(t, err)
	return at
}

func (b *broker) create(t testing.TB, name string, attributes map[string]string) (url string) {
	t.Helper()
	all := maps.Clone(attributes)
	if isOrdered(name) {
		all = map[string]string{"FifoQueue": "true"}
	}
	var out struct{ QueueUrl string }
	must(t, b.client.Call(context.Background(), "CreateQueue", 0, map[string]any{"QueueName": name, "Attributes": all}, &out))
	return out.QueueUrl
}

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"queue": b.queue, "wait": "1s", "visibility": b.visibility}
	maps.Copy(m, more)
	return m
}

func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return b.trigger(t, s, nil)
}

func (b *broker) trigger(t testing.TB, s trigger.Settings, more map[string]any) trigger.Trigger {
	t.Helper()
	if s.Spec.URL == "" {
		s.Spec.URL, s.Spec.Secret = "http://KEY@"+b.proxy.Addr(), quantity.Secret("secret")
	}
	raw, err := json.Marshal(b.attributes(more))
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	for len(rs) > 0 {
		k := min(len(rs), atOnce)
		var entries []map[string]any
		for i, r := range rs[:k] {
			e := map[string]any{"Id": strconv.Itoa(i), "MessageBody": r.Body}
			if len(r.Headers) > 0 {
				as := map[string]attribute{}
				for key, value := range r.Headers {
					as[key] = attribute{DataType: "String", StringValue: value}
				}
				e["MessageAttributes"] = as
			}
			if isOrdered(b.queue) {
				e["MessageGroupId"], e["MessageDeduplicationId"] = r.Key, strconv.FormatInt(b.n.Add(1), 10)
			}
			entries = append(entries, e)
		}
		b.send(t, entries)
		rs = rs[k:]
	}
}

func (b *broker) send(t testing.TB, entries []map[string]any) {
	t.Helper()
	var out struct{ Failed []any }
	must(t, b.client.Call(context.Background(), "SendMessageBatch", 0, map[string]any{"QueueUrl": b.url, "Entries": entries}, &out))
	if len(out.Failed) > 0 {
		t.Fatalf("not sent: %v", out.Failed)
	}
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	absent := fmt.Sprintf("absent%d", counter.Add(1))
	return map[string]triggertest.Broken{
		"queue": {Trigger: b.trigger(t, s, map[string]any{"queue": absent}), Says: fmt.Sprintf("queue %q is not there", absent),
			Mend: func() { b.create(t, absent, nil) }},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
