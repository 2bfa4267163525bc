package sqs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// running is a trigger that runs, and the events that its function saw.
type running struct {
	trigger.Reporter
	t    testing.TB
	mu   sync.Mutex
	seen []*event.Event
}

// run starts a trigger whose function notes each event and does what then says.
func run(t testing.TB, trg trigger.Trigger, then func(*event.Event) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Reporter: trg.(trigger.Reporter), t: t}
	done := make(chan error, 1)
	h := func(_ context.Context, ev *event.Event, _ *event.Response) error {
		r.mu.Lock()
		r.seen = append(r.seen, ev.Clone())
		r.mu.Unlock()
		return then(ev)
	}
	go func() { done <- trg.Run(ctx, trigger.HandlerFunc(h)) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run returned %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not return")
		}
	})
	return r
}

func (r *running) events() []*event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v", what, r.Report())
		}
	}
}

func settings(t testing.TB) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Workers: 4, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Spec: function.Trigger{Delivery: function.Delivery{Retry: &function.Retry{Attempts: 3, Backoff: &function.Backoff{}}}}}
}

func nothing(*event.Event) error { return nil }

// Messages of a group come in their order, also when one of them fails at first.
func TestGroups(t *testing.T) {
	t.Parallel()
	b := newBroker(t, pool.ElasticMQ(t).Addr, Fifo)
	const groups, each = 4, 15
	var rs []triggertest.Record
	for n := range groups * each {
		rs = append(rs, triggertest.Record{Key: fmt.Sprint("g", n%groups), Body: fmt.Sprint(n)})
	}
	b.Produce(t, rs...)
	var mu sync.Mutex
	failed := map[string]bool{}
	r := run(t, b.trigger(t, settings(t), nil), func(ev *event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if body := string(ev.Body); strings.HasSuffix(body, "7") && !failed[body] {
			failed[body] = true
			return errors.New("not yet")
		}
		return nil
	})
	r.until("all to be done", func() bool { return r.Report().Done == groups*each })
	last := map[string]int{}
	for _, ev := range r.events() {
		var n int
		_, err := fmt.Sscan(string(ev.Body), &n)
		must(t, err)
		group := string(ev.Key)
		if group != fmt.Sprint("g", n%groups) {
			t.Errorf("event %d has the key %q", n, group)
		}
		if before, ok := last[group]; ok && n != before+groups && n != before {
			t.Errorf("event %d of %s came after %d", n, group, before)
		}
		last[group] = n
	}
}

// What a message has is in its event, and in the letter that is made of it.
func TestMessage(t *testing.T) {
	t.Parallel()
	b := newBroker(t, pool.ElasticMQ(t).Addr, "")
	dead := fmt.Sprintf("dead%d", counter.Add(1))
	b.create(t, dead, nil)
	const trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
	b.send(t, []map[string]any{{"Id": "a", "MessageBody": `{"a": "ü"}`,
		"MessageAttributes": map[string]attribute{
			"Content-Type": {DataType: "String", StringValue: "application/json"}, "raw": {DataType: "Binary", BinaryValue: []byte{0, 0xff}},
			"count": {DataType: "Number", StringValue: "7"}, "kind": {DataType: "String.own", StringValue: "x"},
		},
		"MessageSystemAttributes": map[string]attribute{"AWSTraceHeader": {DataType: "String", StringValue: trace}}}})
	s := settings(t)
	s.Spec.OnFailure = &function.Destination{Kind: "topic", Topic: dead}
	r := run(t, b.trigger(t, s, nil), func(*event.Event) error { return event.Permanent(errors.New("never")) })
	r.until("a letter", func() bool { return r.Report().Dead == 1 })
	ev := r.events()[0]
	if string(ev.Body) != `{"a": "ü"}` || string(ev.ContentType) != "application/json" || ev.Topic != b.queue || len(ev.ID) != 36 || time.Since(ev.Time).Abs() > time.Hour {
		t.Errorf("event %+v", ev)
	}
	for key, want := range map[string]string{"raw": "\x00\xff", "count": "7", "kind": "x", "x-amzn-trace-id": trace, "traceparent": "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"} {
		if got := string(ev.Header(key)); got != want {
			t.Errorf("header %s is %q, want %q", key, got, want)
		}
	}
	l := run(t, b.trigger(t, settings(t), map[string]any{"queue": dead}), nothing)
	l.until("the letter", func() bool { return l.Report().Done == 1 })
	got := l.events()[0]
	if !bytes.Equal(got.Body, ev.Body) || string(got.ContentType) != "application/json" || string(got.Header(letter.Prefix+"error")) != "never" || string(got.Header(letter.Prefix+"event-id")) != string(ev.ID) {
		t.Errorf("letter %s", got.Body)
	}
}

// A message on which a function works for long is claimed again and again, and is
// done once it is.
func TestLongFunction(t *testing.T) {
	t.Parallel()
	b := newBroker(t, pool.ElasticMQ(t).Addr, "")
	var mu sync.Mutex
	claims := 0
	b.proxy.Tap(func(p fault.Passed) {
		mu.Lock()
		defer mu.Unlock()
		if p.ToServer && bytes.Contains(p.Data, []byte("AmazonSQS.ChangeMessageVisibilityBatch")) {
			claims++
		}
	})
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	b.Produce(t, triggertest.Record{Body: "long"})
	r := run(t, b.trigger(t, settings(t), map[string]any{"visibility": "3s"}), func(*event.Event) error {
		<-release
		return nil
	})
	t.Cleanup(free) // before the trigger is stopped
	r.until("two claims", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return claims >= 2
	})
	free()
	r.until("it to be done", func() bool { return r.Report().Done >= 1 })
	b.empty(t, r)
}

// empty waits until the service has no message left.
func (b *broker) empty(t testing.TB, r *running) {
	t.Helper()
	w, err := (&source{cfg: Config{Queue: b.queue}, at: placeOf(t, b.addr), log: slog.New(slog.DiscardHandler)}).Watch()
	must(t, err)
	defer w.Close()
	r.until("an empty queue", func() bool {
		n, err := w.Waiting(context.Background())
		return err == nil && n == 0
	})
}

// The service is killed while messages come and are worked on; none is lost.
func TestKilledServer(t *testing.T) {
	if testing.Short() {
		t.Skip("a kill shows the same in the long form")
	}
	t.Parallel()
	server := servers.ElasticMQ(t)
	b := newBroker(t, server.Addr, "")
	const n = 100
	var rs []triggertest.Record
	for i := range n {
		rs = append(rs, triggertest.Record{Body: fmt.Sprint(i)})
	}
	b.Produce(t, rs...)
	r := run(t, b.trigger(t, settings(t), map[string]any{"visibility": "3s"}), func(*event.Event) error {
		<-time.After(10 * time.Millisecond)
		return nil
	})
	r.until("some events", func() bool { return len(r.events()) > n/5 })
	must(t, server.Kill())
	must(t, server.Start())
	r.until("all events", func() bool {
		bodies := map[string]bool{}
		for _, ev := range r.events() {
			bodies[string(ev.Body)] = true
		}
		return len(bodies) == n
	})
	b.empty(t, r)
	t.Logf("%d runs of %d events", len(r.events()), n)
}

// Processors are killed while they work; what they had comes back.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("a kill shows the same in the long form")
	}
	t.Parallel()
	b := newBroker(t, pool.ElasticMQ(t).Addr, "")
	const n = 150
	var rs []triggertest.Record
	for i := range n {
		rs = append(rs, triggertest.Record{Body: fmt.Sprint(i)})
	}
	b.Produce(t, rs...)
	b.visibility = "3s"
	attributes, err := json.Marshal(b.attributes(nil))
	must(t, err)
	seen := mortal.Run(t, "http://KEY@"+b.addr+"\n"+string(attributes), 2, 40, n)
	if len(seen) != n {
		t.Errorf("%d of %d messages have run", len(seen), n)
	}
}
