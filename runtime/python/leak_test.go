package python

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/myelin-run/myelin/event"
)

// A worker that has served many events of every kind is no larger than one
// that has served a few.
func TestWorkerDoesNotGrow(t *testing.T) {
	exprs := []string{`"text"`, `event.body`, `{"a": event.headers}`, `(201, "x")`, `1/0`, `exec("event.me = event")`,
		`[event.path, event.fields, event.id, event.trigger.kind, str(event.timestamp)]`, `context.Response(body="x" * 50000, headers={"a": "b"})`,
		`exec("kept.append(event)") or kept.pop(0).path if kept else kept.append(event)`}
	both(t, func(t *testing.T, attrs map[string]any) {
		in, _ := fixture{code: evaluate, attrs: attrs}.open(t)
		serve := func(n int) {
			for i := range n {
				var resp event.Response
				ev := event.Event{Body: []byte(exprs[i%len(exprs)]), Headers: event.Pairs{{Key: "K", Value: []byte("v")}}, LogAsked: i%50 == 0}
				_ = in.Invoke(context.Background(), &ev, &resp)
			}
		}
		serve(2000)
		before := resident(t, in.Pid())
		serve(20_000)
		if after := resident(t, in.Pid()); after > before+before/4+(2<<20) {
			t.Errorf("the worker grew from %d to %d bytes", before, after)
		}
	})
}

func resident(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, rss, shared int64
	if _, err := fmt.Fscan(bytes.NewReader(b), &size, &rss, &shared); err != nil {
		t.Fatal(err)
	}
	return (rss - shared) * int64(os.Getpagesize())
}
