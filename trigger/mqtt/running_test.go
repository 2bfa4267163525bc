package mqtt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

// running is a trigger that runs, and what its function saw.
type running struct {
	t    *testing.T
	trg  trigger.Trigger
	stop context.CancelFunc
	done chan error
	log  lines

	mu   sync.Mutex
	seen map[string]int
	last *event.Event
}

// lines is a log that tests look into.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// run starts a trigger with these attributes; then says what the function does.
func run(t *testing.T, s trigger.Settings, attributes map[string]any, then func(*event.Event, *event.Response) error) *running {
	t.Helper()
	r := &running{t: t, done: make(chan error, 1), seen: map[string]int{}}
	if s.Spec.Retry == nil {
		s.Spec.Retry = &function.Retry{Attempts: 3, Backoff: &function.Backoff{Initial: quantity.Duration(20 * time.Millisecond)}}
	}
	s.Name, s.Function, s.Workers, s.Spec.Kind = "in", "f", 4, Kind
	s.Log = slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	raw, err := json.Marshal(attributes)
	must(t, err)
	r.trg, err = Factory().New(s, raw)
	must(t, err)
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() { r.done <- r.trg.Run(ctx, r.handler(then)) }()
	t.Cleanup(r.end)
	return r
}

func (r *running) handler(then func(*event.Event, *event.Response) error) trigger.HandlerFunc {
	return func(_ context.Context, ev *event.Event, resp *event.Response) error {
		r.mu.Lock()
		r.seen[string(ev.Body)]++
		r.last = ev.Clone()
		r.mu.Unlock()
		if then == nil {
			return nil
		}
		return then(ev, resp)
	}
}

// end stops it; it may be called again.
func (r *running) end() {
	r.t.Helper()
	if r.done == nil {
		return
	}
	r.stop()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("Run returned %v", err)
		}
	case <-time.After(30 * time.Second):
		r.t.Errorf("Run does not return:\n%s", r.log.String())
	}
	r.done = nil
	if r.t.Failed() {
		r.t.Logf("log:\n%s", r.log.String())
	}
}

func (r *running) report() trigger.Report { return r.trg.(trigger.Reporter).Report() }

func (r *running) ready() *running {
	r.t.Helper()
	select {
	case <-r.trg.(trigger.Readier).Ready():
	case <-time.After(30 * time.Second):
		r.t.Fatalf("the trigger is not ready: %+v", r.report())
	}
	return r
}

func (r *running) counts(body string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[body]
}

func (r *running) different() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func (r *running) event() *event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited long for %s", what)
		}
	}
}

// on are the attributes of one subscription, with more.
func on(topic string, qos int, more map[string]any) map[string]any {
	m := map[string]any{"subscriptions": []any{map[string]any{"topic": topic, "qos": qos}}, "clientID": fmt.Sprintf("run%d", counter.Add(1))}
	for k, v := range more {
		m[k] = v
	}
	return m
}

func at(addr string) trigger.Settings {
	return trigger.Settings{Spec: function.Trigger{URL: "mqtt://" + addr}}
}

func versions(t *testing.T, check func(t *testing.T, version int)) {
	for _, v := range []int{5, 3} {
		t.Run(fmt.Sprint(v), func(t *testing.T) { check(t, v) })
	}
}

func producer(t *testing.T, version int, qos byte) func(topic, body string) {
	put := producer5(t, pool.Mosquitto(t), qos)
	if version == 3 {
		put = producer3(t, pool.Mosquitto(t), qos)
	}
	return func(topic, body string) {
		t.Helper()
		must(t, put(topic, record(body)))
	}
}
