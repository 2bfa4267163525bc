package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// aBatch is a batch with its answers.
type aBatch struct {
	evs   []*event.Event
	resps []*event.Response
	errs  []error
}

func newBatch(bodies ...string) *aBatch {
	b := &aBatch{}
	for i, body := range bodies {
		ev := newEvent(body)
		ev.ID = []byte(fmt.Sprintf("id-%d", i+1))
		b.evs, b.resps, b.errs = append(b.evs, ev), append(b.resps, &event.Response{}), append(b.errs, event.ErrNotRun)
	}
	return b
}

// run has in run the batch, and does not wait for ever.
func (b *aBatch) run(t *testing.T, in runtime.Instance) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		in.(runtime.Batcher).InvokeBatch(context.Background(), b.evs, b.resps, b.errs)
		close(done)
	}()
	await(t, done)
}

// openBatches opens an instance that takes batches of n events, at least.
func openBatches(t *testing.T, f Fixture, function string, n int) runtime.Instance {
	t.Helper()
	if !f.Batches {
		t.Skip("the fixture has no function that takes batches")
	}
	in := f.open(t, function)
	b, ok := in.(runtime.Batcher)
	if !ok || b.MaxBatch() < n {
		t.Fatalf("no batches of %d events", n)
	}
	return in
}

// batch checks that each event gets its own answer, whatever its size.
func batch(t *testing.T, f Fixture) {
	in := openBatches(t, f, Batch, 16)
	for _, size := range []int{0, 100, 20 << 10, 6 << 20} {
		for _, n := range []int{1, 2, 16} {
			var bodies []string
			for i := range n {
				bodies = append(bodies, strings.Repeat(string(rune('a'+i)), size/(1+i)))
			}
			b := newBatch(bodies...)
			b.run(t, in)
			for i, body := range bodies {
				if want := fmt.Sprintf("%d:%s", n, body); b.errs[i] != nil || string(b.resps[i].Body) != want {
					t.Fatalf("event %d of %d: %.40q, want %.40q, %v", i, n, b.resps[i].Body, want, b.errs[i])
				}
			}
			for _, ev := range b.evs {
				scribble(ev)
			}
		}
	}
	b := newBatch("a", "teapot", "error", "b")
	b.errs[3] = nil // is left alone
	b.run(t, in)
	var failed *event.Error
	switch {
	case b.errs[0] != nil || string(b.resps[0].Body) != "3:a":
		t.Errorf("first: %q, %v", b.resps[0].Body, b.errs[0])
	case b.errs[1] != nil || b.resps[1].Status != 418 || string(b.resps[1].Body) != "3:teapot":
		t.Errorf("status: %d %q, %v", b.resps[1].Status, b.resps[1].Body, b.errs[1])
	case !errors.As(b.errs[2], &failed) || !strings.Contains(failed.Message, "deliberate failure"):
		t.Errorf("an error: %v", b.errs[2])
	case b.errs[3] != nil || len(b.resps[3].Body) > 0:
		t.Errorf("one that was not to run: %q, %v", b.resps[3].Body, b.errs[3])
	}
}

// batchFailures are those of the call: all events have one and the same error.
func batchFailures(t *testing.T, f Fixture) {
	in := openBatches(t, f, Batch, 3)
	for body, text := range map[string]string{"raise": "deliberate failure", "short": "2 responses to 3 events"} {
		if body == "short" && f.Fills {
			continue
		}
		b := newBatch("a", body, "b")
		b.run(t, in)
		for i, err := range b.errs {
			var failed *event.Error
			if !errors.As(err, &failed) || failed.Status != f.FailStatus || !strings.Contains(failed.Message, text) {
				t.Errorf("%s: event %d: %v", body, i, err)
			}
			if err != b.errs[0] { //nolint:errorlint // one and the same
				t.Errorf("%s: event %d has an error of its own", body, i)
			}
		}
	}
	b := newBatch("after")
	if b.run(t, in); b.errs[0] != nil || string(b.resps[0].Body) != "1:after" {
		t.Errorf("after the failures: %q, %v", b.resps[0].Body, b.errs[0])
	}
}

func batchExit(t *testing.T, f Fixture) {
	in := openBatches(t, f, Exit, 3)
	b := newBatch("a", "b", "c")
	b.run(t, in)
	for i, err := range b.errs {
		if !errors.Is(err, event.ErrCrashed) {
			t.Errorf("event %d of a function that ended its process: %v", i, err)
		}
	}
	b = newBatch("a", "b")
	if b.run(t, in); !errors.Is(b.errs[0], event.ErrNotRun) || !errors.Is(b.errs[1], event.ErrNotRun) {
		t.Errorf("after its end: %v", b.errs)
	}
}
