package processor_test

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
	"github.com/myelin-run/myelin/trigger/stream"
	"github.com/myelin-run/myelin/trigger/triggertest"
	"github.com/myelin-run/myelin/trigger/triggertest/memory"
)

// logTrigger makes triggers on l of the kind memory.
func logTrigger(t *testing.T, l *memory.Log) trigger.Factory {
	return component.Define("memory", "Reads a log in memory.", func() struct{} { return struct{}{} },
		func(s trigger.Settings, _ struct{}) (trigger.Trigger, error) { return l.Trigger(t, s), nil })
}

// once is a function in Go that writes, counts and fails at times, through its
// own context: its effects are there once, and it remembers what it counted.
func once(runs *atomic.Int64) native.Function {
	return native.Of(func(ctx *myelin.Context, ev *myelin.Event) (any, error) {
		if ev.Source.Kind == "http" {
			r, err := ctx.Bindings.Table("orders").Query(ctx, "SELECT COUNT(*) FROM o")
			if err != nil {
				return nil, err
			}
			n, err := ctx.State.Get(ctx, "n")
			if err != nil && !errors.Is(err, myelin.ErrNotFound) {
				return nil, err
			}
			return strconv.FormatInt(r.Rows[0][0].(int64), 10) + " " + string(n), nil
		}
		if _, err := ctx.Bindings.Table("orders").Exec(ctx, "INSERT INTO o VALUES (?)", string(ev.Body)); err != nil {
			return nil, err
		}
		n, err := ctx.State.Get(ctx, "n")
		if err != nil && !errors.Is(err, myelin.ErrNotFound) {
			return nil, err
		}
		sum, _ := strconv.Atoi(string(n))
		if err := ctx.State.Put(ctx, "n", strconv.AppendInt(nil, int64(sum+1), 10)); err != nil {
			return nil, err
		}
		if runs.Add(1)%5 == 0 {
			return nil, errors.New("failed after it wrote")
		}
		return nil, nil
	}, func(ctx *myelin.Context) error {
		_, err := ctx.Bindings.Table("orders").Exec(ctx, "CREATE TABLE IF NOT EXISTS o (s TEXT)")
		return err
	})
}

func TestExactlyOnceInGo(t *testing.T) {
	l := memory.NewLog(1)
	l.Options.Restores = true
	cfg := config(t, "  dataBindings:\n    orders: {class: table, kind: sqlite}\n  state: {binding: orders}\n"+
		"  triggers:\n    in: {kind: memory, exactlyOnce: {binding: orders}, checkpointInterval: 10ms, retry: {attempts: -1, backoff: {initial: 1ms, max: 5ms}}}\n")
	var runs atomic.Int64
	r := startParts(t, cfg, processor.Parts{Triggers: trigger.NewSet(httptrigger.Factory(), logTrigger(t, l)), Runtimes: runtime.NewSet(native.Factory(once(&runs))), Bindings: embeddedAndTables()})
	const events = 60
	for i := range events {
		l.Produce(t, triggertest.Record{Key: "k", Body: strconv.Itoa(i)})
	}
	want := strconv.Itoa(events) + " " + strconv.Itoa(events)
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, got, err := post(r.url, "")
		if err == nil && strings.TrimSpace(got) == want {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
	}
	if n := runs.Load(); n <= events {
		t.Errorf("%d runs of %d events: none failed", n, events)
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}

// Who asks for what cannot be is told where it is asked for.
func TestExactlyOnceMistakes(t *testing.T) {
	unread := component.Define("memory", "Reads nothing.", func() struct{} { return struct{}{} },
		func(s trigger.Settings, _ struct{}) (trigger.Trigger, error) {
			return stream.New(s, stream.Options{Kind: "memory", Restores: true}, nil)
		})
	for says, spec := range map[string]string{
		`spec.triggers.in.exactlyOnce.binding: "orderz" is no data binding of class table (there are: ["orders"])`: "in: {kind: memory, exactlyOnce: {binding: orderz}}",
		`exactlyOnce.binding: "seen" is no data binding of class table`:                                            "in: {kind: memory, exactlyOnce: {binding: seen}}",
		`exactlyOnce: a http trigger has none`:                                                                     "default-http: {kind: http, exactlyOnce: {binding: orders}}",
		`exactlyOnce: is not together with workersPerShard: 4`:                                                     "in: {kind: memory, workersPerShard: 4, exactlyOnce: {binding: orders}}",
		`exactlyOnce: is not together with onSuccess`:                                                              "in: {kind: memory, onSuccess: {kind: http, url: 'http://x'}, exactlyOnce: {binding: orders}}",
		`exactlyOnce: is not together with explicitAckMode`:                                                        "in: {kind: memory, explicitAckMode: enable, exactlyOnce: {binding: orders}}",
		`batch: is enabled, and spec.state is kept by a binding of class kv`:                                       "in: {kind: memory, batch: {mode: enable}}",
	} {
		cfg := config(t, "  dataBindings:\n    orders: {class: table, kind: sqlite}\n    seen: {kind: embedded}\n  state: {binding: seen}\n  triggers:\n    "+spec+"\n")
		_, err := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(httptrigger.Factory(), unread), Runtimes: runtime.NewSet(native.Factory(once(new(atomic.Int64)))), Bindings: embeddedAndTables()})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}
