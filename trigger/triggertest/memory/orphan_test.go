package memory

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// orphans is a handler whose workers go as the test wants.
type orphans struct {
	mu     sync.Mutex
	worker chan struct{}
	tokens map[string]event.Token
	runs   map[string]int
}

func (o *orphans) Handle(_ context.Context, ev *event.Event, resp *event.Response) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	body := string(ev.Body)
	o.tokens[body] = ev.Token
	o.runs[body]++
	resp.Worker = o.worker
	return event.ErrLater
}

func (o *orphans) look(f func() bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return f()
}

// An event that a worker left open fails when the worker goes, even if it went
// before the engine heard of it, and others stay open.
func TestOrphans(t *testing.T) {
	for name, b := range map[string]triggertest.Broker{"queue": NewQueue(queue.Options{Requeues: true}), "stream": NewLog(1)} {
		t.Run(name, func(t *testing.T) {
			first := make(chan struct{})
			o := &orphans{worker: first, tokens: map[string]event.Token{}, runs: map[string]int{}}
			trg := b.Trigger(t, trigger.Settings{Name: "in", Workers: 1, Spec: function.Trigger{ExplicitAckMode: "enable",
				Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "drop"}, Retry: &function.Retry{Attempts: 3, Backoff: &function.Backoff{Initial: quantity.Duration(time.Millisecond)}}}}})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- trg.Run(ctx, o) }()
			until := func(what string, ok func() bool) {
				t.Helper()
				for deadline := time.Now().Add(30 * time.Second); !o.look(ok); time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal(what)
					}
				}
			}
			b.Produce(t, triggertest.Record{Body: "a"}, triggertest.Record{Body: "b"})
			until("both run", func() bool { return o.runs["a"] == 1 && o.runs["b"] == 1 })
			second := make(chan struct{})
			o.look(func() bool { o.worker = second; return true })
			b.Produce(t, triggertest.Record{Body: "c"})
			until("c runs", func() bool { return o.runs["c"] == 1 })
			close(first)
			until("a and b run again", func() bool { return o.runs["a"] == 2 && o.runs["b"] == 2 })
			if o.look(func() bool { return o.runs["c"] != 1 }) {
				t.Error("the event of the worker that lives was run again")
			}
			gone := make(chan struct{})
			close(gone)
			o.look(func() bool { o.worker = gone; return true })
			b.Produce(t, triggertest.Record{Body: "d"})
			until("d is given up", func() bool { return o.runs["d"] == 3 })
			for _, body := range []string{"a", "b", "c"} {
				if err := trg.(trigger.Settler).Settle(o.tokens[body], nil); err != nil {
					t.Errorf("%s: %v", body, err)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
