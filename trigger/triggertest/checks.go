package triggertest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// lent: each event is handed out once, complete and with an id of its own; what
// a handler does to lent memory hurts nobody, and a clone outlives it.
func (f *Fixture) lent(t *testing.T) {
	const events = 40
	clones := make(chan *event.Event, 2*events)
	s := f.start(t, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if resp.Status != 0 || len(resp.Body) != 0 || len(resp.Header) != 0 || len(resp.Logs) != 0 || resp.Stream != nil {
			t.Errorf("the response came in used: %+v", resp)
		}
		clones <- ev.Clone()
		echo(ev, resp)
		scribble(ev)
		return nil
	})
	ids := map[string]bool{}
	for i := range events {
		body := fmt.Sprintf("event %d", i)
		out := await(t, "an outcome", s.Emit(t, body))
		if out.Verdict != Done {
			t.Fatalf("event %d: verdict %v, want Done", i, out.Verdict)
		}
		ev := await(t, "the event", clones)
		f.inspect(t, ev, body, ids)
		if f.Class == trigger.Sync && out.Body != body {
			t.Errorf("event %d: response %q, want %q", i, out.Body, body)
		}
	}
	s.end(t)
	if n := len(clones); n != 0 {
		t.Errorf("%d events were handed out again", n)
	}
}

func (f *Fixture) inspect(t *testing.T, ev *event.Event, body string, ids map[string]bool) {
	t.Helper()
	if !f.OwnBody && string(ev.Body) != body {
		t.Errorf("body %q, want %q", ev.Body, body)
	}
	switch id := string(ev.ID); {
	case id == "":
		t.Error("an event has no id")
	case ids[id]:
		t.Errorf("two events have the id %q", id)
	default:
		ids[id] = true
	}
	switch {
	case ev.Source == nil:
		t.Error("an event has no source")
	case ev.Source.Class != string(f.Class) || ev.Source.Kind == "":
		t.Errorf("the source of an event is %+v, want class %s and a kind", *ev.Source, f.Class)
	}
	if ev.Time.IsZero() {
		t.Error("an event has no time")
	}
}

// scribble overwrites all lent memory, as a trigger's next event would.
func scribble(ev *event.Event) {
	for _, b := range [][]byte{ev.ID, ev.Method, ev.Path, ev.URL, ev.ContentType, ev.Body, ev.Key} {
		for i := range b {
			b[i] = 'X'
		}
	}
}

// outcomes: each outcome means to the source what trigger.Handler says.
func (f *Fixture) outcomes(t *testing.T) {
	cases := []struct {
		err     error
		status  int     // sync
		verdict Verdict // other classes
	}{
		{nil, 200, Done},
		{event.ErrBusy, 503, Again},
		{event.ErrTimeout, 408, Again},
		{event.ErrCrashed, 502, Again},
		{&event.Error{Status: 418, Message: "teapot"}, 418, Again},
		{&event.Error{Message: "no status"}, 500, Again},
		{&event.Error{Status: 42, Message: "no such status"}, 500, Again},
		{event.Permanent(errors.New("never")), 500, Rejected},
		{errors.New("odd"), 500, Again},
		{fmt.Errorf("wrapped: %w", event.ErrTimeout), 408, Again},
	}
	var next, calls atomic.Int64
	s := f.start(t, func(_ context.Context, _ *event.Event, resp *event.Response) error {
		if calls.Add(1) > 1 {
			return nil // brought again
		}
		resp.Body = append(resp.Body, "answer"...)
		return cases[next.Load()].err
	})
	for i, c := range cases {
		next.Store(int64(i))
		calls.Store(0)
		out := await(t, fmt.Sprintf("the outcome of %v", c.err), s.Emit(t, fmt.Sprint("case ", i)))
		f.judge(t, c.err, out, c.status, c.verdict, calls.Load())
	}
	s.end(t)
}

func (f *Fixture) judge(t *testing.T, err error, out Outcome, status int, verdict Verdict, calls int64) {
	t.Helper()
	if f.Class == trigger.Sync {
		if out.Status != status || calls != 1 {
			t.Errorf("%v: status %d after %d calls, want %d after 1", err, out.Status, calls, status)
		}
		return
	}
	if verdict == Again && f.Once || verdict == Rejected && f.Class != trigger.Queue {
		verdict = Done // it was passed
	}
	if out.Verdict != verdict {
		t.Errorf("%v: verdict %v, want %v", err, out.Verdict, verdict)
	}
}

// panics: a handler that panics fails that event and nothing else.
func (f *Fixture) panics(t *testing.T) {
	var calls atomic.Int64
	s := f.start(t, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if calls.Add(1) == 1 {
			panic("planted")
		}
		echo(ev, resp)
		return nil
	})
	out := await(t, "the outcome of a panic", s.Emit(t, "first"))
	f.judge(t, errors.New("panic"), out, 500, Again, 1)
	if out := await(t, "the outcome after a panic", s.Emit(t, "second")); out.Verdict != Done || f.Class == trigger.Sync && out.Status != 200 {
		t.Errorf("the event after a panic: %+v", out)
	}
	s.end(t)
}

// abandoned: memory lent to a function that still runs is never used again.
func (f *Fixture) abandoned(t *testing.T) {
	type held struct{ ev, clone *event.Event }
	keep := make(chan held, 1)
	more := make(chan struct{})
	wrote := make(chan struct{})
	var calls atomic.Int64
	s := f.start(t, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if calls.Add(1) > 1 {
			echo(ev, resp)
			return nil
		}
		keep <- held{ev, ev.Clone()}
		go func() { // the function, which does not hear that its time is over
			defer close(wrote)
			for {
				resp.Body = append(resp.Body[:0], "late, and in nobody's response"...)
				resp.Status = 299
				select {
				case <-more:
					return
				default:
				}
			}
		}()
		return event.Abandon(event.ErrTimeout)
	})
	out := await(t, "the outcome of an abandoned event", s.Emit(t, "abandoned"))
	f.judge(t, event.ErrTimeout, out, 408, Again, 1)
	for i := range 40 {
		body := fmt.Sprint("other ", i)
		if out := await(t, "an outcome", s.Emit(t, body)); f.Class == trigger.Sync && (out.Body != body || out.Status != 200) {
			t.Errorf("after an abandoned event: %+v, want %q", out, body)
		}
	}
	close(more)
	await(t, "the function", wrote)
	h := await(t, "the abandoned event", keep)
	if diff := cmp.Diff(h.clone, h.ev.Clone()); diff != "" {
		t.Errorf("the memory of an abandoned event changed (-lent +now):\n%s", diff)
	}
	s.end(t)
}
