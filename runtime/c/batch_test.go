//go:build cgo

package c_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/c/testdata/functions"
)

// list is a list of events with its answers.
type list struct {
	evs   []*event.Event
	resps []*event.Response
	errs  []error
}

func newList(bodies ...string) *list {
	l := &list{}
	for k, body := range bodies {
		l.evs = append(l.evs, &event.Event{ID: []byte(fmt.Sprintf("id-%d", k)), Body: []byte(body),
			Source:  &event.Source{Kind: "http", Name: "web"},
			Headers: event.Pairs{{Key: "X-Ask", Value: []byte(strings.Repeat("a", k))}}})
		l.resps, l.errs = append(l.resps, &event.Response{}), append(l.errs, event.ErrNotRun)
	}
	return l
}

func (l *list) run(in runtime.Instance) {
	in.(runtime.Batcher).InvokeBatch(context.Background(), l.evs, l.resps, l.errs)
}

// Each event of a list has its own headers, outcome and log.
func TestList(t *testing.T) {
	var logs bytes.Buffer
	in, err := load(t, "both", slog.New(slog.NewTextHandler(&logs, nil))).Open(t.Context(), runtime.Worker{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close(t.Context())
	l := newList("asked", "permanent", "asked", "plain")
	l.evs[3].LogAsked, l.evs[3].LogLevel = true, slog.LevelInfo
	l.run(in)
	for k, want := range []string{"id-0=;", "", "id-2=aa;", "4:plain"} {
		if got := string(l.resps[k].Body); got != want || (l.errs[k] != nil) != (k == 1) {
			t.Errorf("event %d: %q, %v", k, got, l.errs[k])
		}
		if asked := len(l.resps[k].Logs) == 1; asked != (k == 3) {
			t.Errorf("event %d got %v", k, l.resps[k].Logs)
		}
	}
	var failed *event.Error
	if !errors.As(l.errs[1], &failed) || failed.Status != 400 || !event.IsPermanent(l.errs[1]) {
		t.Errorf("what is not to be tried again: %v", l.errs[1])
	}
	if got := logs.String(); strings.Contains(got, "event=") || !strings.Contains(got, "a list of 4") {
		t.Errorf("logged %s", got)
	}
	before := functions.Released()
	if l = newList("plain", "raise"); true {
		l.run(in)
	}
	if functions.Released() != before+1 || l.errs[0] == nil {
		t.Errorf("an answer that nobody wants was given back %d times, %v", functions.Released()-before, l.errs)
	}
	var resp event.Response // a handler of single events is not passed over
	if err := in.Invoke(t.Context(), l.evs[1], &resp); err != nil || string(resp.Body) != "raise" {
		t.Errorf("a single event: %q, %v", resp.Body, err)
	}
}

// A function that takes lists alone gets single events as lists of one.
func TestListsOfOne(t *testing.T) {
	in := open(t, "batch")
	defer in.Close(t.Context())
	for body, want := range map[string]string{"asked": "id-0=;", "x": "1:x", "error": "", "raise": ""} {
		l := newList(body)
		err := in.Invoke(t.Context(), l.evs[0], l.resps[0])
		if got := string(l.resps[0].Body); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
	if in.(runtime.Batcher).MaxBatch() < 2048 || open(t, "echo").(runtime.Batcher).MaxBatch() != 0 {
		t.Error("who takes lists is not told apart")
	}
}

// Large answers to a large list are not kept by the worker.
func TestLongLists(t *testing.T) {
	in := open(t, "batch")
	defer in.Close(t.Context())
	for _, n := range []int{2048, 1, 300} {
		bodies := make([]string, n)
		for k := range bodies {
			bodies[k] = strings.Repeat("b", 3000+k)
		}
		l := newList(bodies...)
		l.run(in)
		for k := range bodies {
			if want := fmt.Sprintf("%d:%s", n, bodies[k]); l.errs[k] != nil || string(l.resps[k].Body) != want {
				t.Fatalf("event %d of %d: %d bytes, %v", k, n, len(l.resps[k].Body), l.errs[k])
			}
		}
	}
}

// heard is a caller that remembers.
type heard struct {
	mu   sync.Mutex
	last runtime.Call
	n    int
}

func (h *heard) Do(_ context.Context, call *runtime.Call, answer *event.Response) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = *call
	h.n++
	answer.Status = 200
	return nil
}

// In a list a call belongs to the trace of the event that the function names.
func TestCallsForOne(t *testing.T) {
	h := &heard{}
	in, err := loadWith(t, "call_for", slog.New(slog.DiscardHandler), h).Open(t.Context(), runtime.Worker{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close(t.Context())
	l := newList("a", "b", "c")
	if l.run(in); l.errs[0] != nil {
		t.Fatal(l.errs)
	}
	if len(h.last.Headers) != 1 || h.last.Headers[0] != (event.Field{Key: "X-Request-Id", Value: "id-1"}) {
		t.Errorf("called with %v", h.last.Headers)
	}
}

// A worker may call before its first event, and one that nobody runs may not.
func TestCallsOfHooks(t *testing.T) {
	h := &heard{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	in, err := loadWith(t, "call_init", slog.New(slog.DiscardHandler), h).Open(ctx, runtime.Worker{})
	if err != nil || h.n != 1 {
		t.Fatal(h.n, err)
	}
	if err := in.Close(ctx); err != nil {
		t.Error(err)
	}
	if _, err := load(t, "call_init", slog.New(slog.DiscardHandler)).Open(ctx, runtime.Worker{}); err == nil || !strings.Contains(err.Error(), "no processor") {
		t.Errorf("a call that nobody does: %v", err)
	}
}
