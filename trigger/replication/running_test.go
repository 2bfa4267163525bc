package replication

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// running is a trigger that runs, and the events that its function saw.
type running struct {
	trigger.Trigger
	t    testing.TB
	mu   sync.Mutex
	seen []*event.Event
	end  func()
}

// run runs a trigger whose function does what then says, if that is not nil.
func run(t testing.TB, trg trigger.Trigger, then func(*event.Event) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Trigger: trg, t: t}
	done := make(chan error, 1)
	go func() {
		done <- trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
			r.mu.Lock()
			r.seen = append(r.seen, ev.Clone())
			r.mu.Unlock()
			if then == nil {
				return nil
			}
			return then(ev)
		}))
	}()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.end)
	return r
}

func (r *running) events() []*event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*event.Event(nil), r.seen...)
}

func (r *running) report() trigger.Report { return r.Trigger.(trigger.Reporter).Report() }

func (r *running) until(what string, ok func(trigger.Report) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(r.report()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v", what, r.report())
		}
	}
}

// change is the body of an event.
type change struct {
	Operation, Schema, Table, LSN, CommitLSN string
	XID                                      uint32
	Time                                     time.Time
	New, Old                                 map[string]any
	Unchanged                                []string
	Cascade, RestartIdentity                 bool
}

// changes waits for n events, and reads them.
func (r *running) changes(n int) (out []change) {
	r.t.Helper()
	r.until("the changes", func(trigger.Report) bool { return len(r.events()) >= n })
	for _, ev := range r.events()[:n] {
		var c change
		if err := json.Unmarshal(ev.Body, &c); err != nil {
			r.t.Fatalf("body %s: %v", ev.Body, err)
		}
		out = append(out, c)
	}
	return out
}

func settings(spec function.Trigger) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Spec: spec, Workers: 2}
}

// until polls a condition of the server's.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}
