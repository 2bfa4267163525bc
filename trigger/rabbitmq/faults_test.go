package rabbitmq

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// TestDeclared: what is missing is made, and once it is there it is left alone.
func TestDeclared(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	attributes := map[string]any{
		"topology": "declare", "exchangeName": fresh(), "topics": []string{"a.#", "b"}, "queueName": fresh(), "messageTTL": "1h",
		"deadLetterExchange": b.queue, "deliveryLimit": 7, "singleActiveConsumer": true, "queueArguments": map[string]any{"x-max-length": 1000},
		"bindings": []any{map[string]any{"exchange": "amq.headers", "arguments": map[string]any{"x-match": "all", "kind": 5}}}, "priority": 3,
	}
	for range 2 {
		r := run(t, b.trigger(t, b.settings(t, function.Trigger{}), attributes), nil)
		r.until("the queue", func(r trigger.Report) bool { return r.State == trigger.Running })
		ch := channel(t, b.server)
		for i, m := range []struct{ exchange, key string }{{attributes["exchangeName"].(string), "a.x.y"}, {attributes["exchangeName"].(string), "b"}, {"amq.headers", ""}} {
			publish(t, ch, m.exchange, m.key, amqp.Publishing{Body: fmt.Append(nil, i), Headers: amqp.Table{"kind": int64(5)}})
			if ev := r.next(); string(ev.Body) != fmt.Sprint(i) {
				t.Errorf("event %s, want %d", ev.Body, i)
			}
		}
		r.stop()
		must(t, <-r.done)
		r.done <- nil
	}
	// A dead letter exchange that is not there would swallow letters.
	attributes["deadLetterExchange"], attributes["queueName"] = "nowhere", fresh()
	r := run(t, b.trigger(t, b.settings(t, function.Trigger{}), attributes), nil)
	r.until("the complaint", func(r trigger.Report) bool {
		return strings.Contains(r.Problem, `dead letter exchange "nowhere" is not there`)
	})
}

// TestExclusive: a queue that is consumed alone says so to the second.
func TestExclusive(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	attributes := map[string]any{"queueName": b.queue, "exclusive": true}
	first := run(t, b.trigger(t, b.settings(t, function.Trigger{}), attributes), nil)
	first.until("the queue", func(r trigger.Report) bool { return r.State == trigger.Running })
	second := run(t, b.trigger(t, b.settings(t, function.Trigger{}), attributes), nil)
	second.until("the complaint", func(r trigger.Report) bool { return strings.Contains(r.Problem, "has a consumer already") })
	first.stop()
	second.until("its turn", func(r trigger.Report) bool { return r.State == trigger.Running })
}

// TestQueueDeleted: a queue that goes away is waited for.
func TestQueueDeleted(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	r := run(t, b.Trigger(t, b.settings(t, function.Trigger{})), nil)
	r.until("the queue", func(r trigger.Report) bool { return r.State == trigger.Running })
	deleteQueue(t, b.server, b.queue)
	r.until("the loss", func(r trigger.Report) bool { return strings.Contains(r.Problem, "is not there") })
	declareQueue(t, b.server, b.queue, nil)
	publish(t, channel(t, b.server), "", b.queue, amqp.Publishing{Body: []byte("new")})
	if ev := r.next(); string(ev.Body) != "new" {
		t.Errorf("event %q", ev.Body)
	}
}

// TestLag: the messages that wait at the broker are known.
func TestLag(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	b.Produce(t, make([]triggertest.Record, 50)...)
	release := make(chan struct{})
	r := run(t, b.Trigger(t, b.settings(t, function.Trigger{Delivery: function.Delivery{Prefetch: 10, MaxInFlight: 2}})), func(*event.Event, *event.Response) error {
		<-release
		return nil
	})
	r.until("the lag", func(r trigger.Report) bool { return r.Lag >= 40 && r.Lag <= 50 })
	close(release)
	r.until("all to be done", func(r trigger.Report) bool { return r.Done == 50 })
}

// TestTLS: with the authority's certificate the broker is trusted, else not; and
// no password is ever told.
func TestTLS(t *testing.T) {
	server := servers.RabbitMQ(t, servers.WithTLS(), servers.Login("me", "hush-hush"))
	name := fresh()
	declareQueue(t, server, name, nil)
	var log lockedBuffer
	start := func(tls map[string]any, password string) *running {
		b := &broker{server: server, queue: name}
		s := b.settings(t, function.Trigger{Username: "me", Password: quantity.Secret(password)})
		s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		return run(t, b.at(t, s, "amqps://"+server.Addr, map[string]any{"queueName": name, "tls": tls}), nil)
	}
	start(map[string]any{}, "hush-hush").until("distrust", func(r trigger.Report) bool { return strings.Contains(r.Problem, "certificate") })
	trust := map[string]any{"caFile": server.CAFile(), "serverName": "localhost"}
	start(trust, "hush-wrong").until("refusal", func(r trigger.Report) bool { return strings.Contains(r.Problem, `user "me", its password`) })
	r := start(trust, "hush-hush")
	publish(t, channel(t, server), "", name, amqp.Publishing{Body: []byte("x")})
	if ev := r.next(); string(ev.Body) != "x" {
		t.Errorf("event %q", ev.Body)
	}
	if strings.Contains(log.String(), "hush") {
		t.Errorf("a password is in the log:\n%s", log.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestBlackhole: a broker that is silent is given up after three heartbeats,
// and found again.
func TestBlackhole(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	r := run(t, b.trigger(t, b.settings(t, function.Trigger{}), map[string]any{"queueName": b.queue, "heartbeat": "1s", "connectTimeout": "1s"}), nil)
	r.until("the queue", func(r trigger.Report) bool { return r.State == trigger.Running })
	b.proxy.Blackhole()
	r.until("the loss", func(r trigger.Report) bool { return r.State == trigger.Connecting })
	must(t, b.proxy.Restore())
	b.Produce(t, triggertest.Record{Body: "after"})
	if ev := r.next(); string(ev.Body) != "after" {
		t.Errorf("event %q", ev.Body)
	}
}

// TestKilledBroker: a broker that is killed in the middle of the load, again and
// again, costs no message. The queue is a classic one: after a kill, a quorum
// queue of a single node may find no leader (rabbitmq-server#10070).
func TestKilledBroker(t *testing.T) {
	server := servers.RabbitMQ(t)
	b := newBroker(t, server, nil)
	n, kills := 3000, 2
	if testing.Short() {
		n, kills = 1500, 1
	}
	for from := 0; from < n; from += 500 {
		var rs []triggertest.Record
		for i := range 500 {
			rs = append(rs, triggertest.Record{Body: fmt.Sprint(from + i)})
		}
		b.Produce(t, rs...)
	}
	r := run(t, b.Trigger(t, b.settings(t, function.Trigger{})), func(*event.Event, *event.Response) error {
		<-time.After(time.Millisecond)
		return nil
	})
	seen := map[string]int{}
	runs := 0
	for killed := 0; len(seen) < n; runs++ {
		seen[string(r.next().Body)]++
		if killed < kills && len(seen) > (killed+1)*n/(kills+1) {
			killed++
			must(t, server.Kill())
			r.until("the loss", func(r trigger.Report) bool { return r.State == trigger.Connecting && r.Problem != "" })
			must(t, server.Start())
		}
	}
	t.Logf("%d runs of %d messages over %d kills", runs, n, kills)
}
