// Package runtimetest is the suite that every runtime passes. A [Fixture]
// brings the same small functions in the runtime's language; [Run] checks that
// they are loaded, run, answered and ended as package runtime promises. It
// knows no runtime.
package runtimetest

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// The functions that a fixture may bring. Those it does not have are left out,
// as a language without init hooks must.
const (
	Echo     = "echo"      // answers the body
	Keep     = "keep"      // keeps the body of each event, and answers that of the one before
	Fail     = "fail"      // fails with an error whose text contains "deliberate failure"
	Panic    = "panic"     // raises, throws or panics with "deliberate panic"
	Exit     = "exit"      // ends its own process at once
	Hang     = "hang"      // never returns, busily, if the body is not empty; else answers "ok"
	Big      = "big"       // answers as many bytes "x" as the body says in decimal
	Headers  = "headers"   // answers header X-Reply with the value of the event's X-Ask
	Status   = "status"    // answers status 418 and body "teapot"
	UserData = "user_data" // answers "ready", which its init hook put aside
	BadInit  = "bad_init"  // its init hook fails with "deliberate init failure"
	Logs     = "logs"      // logs "a debug line" and "an info line" with attribute answer=42
	Empty    = "empty"     // answers nothing
	// Leave answers the body. Its init hook gave two hooks for the drain: one that
	// fails with "deliberate drain failure", then one that takes 300ms and logs
	// "the drain hook has ended".
	Leave = "leave"
	// Stream answers "made" with how many parts its last stream had made, in
	// decimal; else its body is a number, and it streams as many parts "0;",
	// "1;", ... with content type text/event-stream.
	Stream = "stream"
	// Batch takes a batch of n events. To each it answers n, ":" and the
	// body; where the body is "teapot" with status 418, and where it is
	// "error" with an error "deliberate failure". If a body is "raise" it
	// fails as Fail does; if one is "short", it answers one event too few.
	Batch = "batch"
)

// Fixture makes runtimes loaded with a named function.
type Fixture struct {
	// New returns a runtime for the function, or nil if the runtime cannot
	// have such a function. logs takes what the function logs.
	New func(t testing.TB, function string, logs *slog.Logger) runtime.Runtime
	// FailStatus is the status of the error that Fail and Panic end in; 0
	// means 500.
	FailStatus int
	// Streams says that the fixture has the function Stream.
	Streams bool
	// Calls returns a runtime for one of the functions Call, CallMany and, with
	// Batches, CallBatch that calls by caller; nil if functions of the runtime cannot call.
	Calls func(t testing.TB, function string, caller runtime.Caller) runtime.Runtime
	// Binds says that Calls has the function Bind as well, whose runtime is told of Bound.
	Binds bool
	// Batches says that the fixture has the function Batch.
	Batches bool
	// Fills says that a function of lists fills answers that it is given, and so
	// cannot give too few.
	Fills bool
	// Leaves says that the fixture has the function Leave.
	Leaves bool
	// Brief leaves out what does not depend on the version of a language.
	Brief bool
}

// Run checks the runtime of f.
func Run(t *testing.T, f Fixture) {
	if f.FailStatus == 0 {
		f.FailStatus = 500
	}
	for _, c := range []struct {
		name string
		run  func(*testing.T, Fixture)
	}{
		{"EventsAreLent", eventsAreLent}, {"NothingIsKept", nothingIsKept}, {"Concurrent", concurrent}, {"Turns", turns},
		{"Empty", empty}, {"Status", status}, {"Headers", headers}, {"Failures", failures}, {"InitHook", initHook}, {"Leave", leave},
		{"InitFailure", initFailure}, {"LogsAsked", logsAsked}, {"Big", big}, {"Kill", kill}, {"KillIdle", killIdle},
		{"Exit", exit}, {"OpenCancelled", openCancelled}, {"NoLeaks", noLeaks}, {"Stream", stream},
		{"Submit", submit}, {"SubmitAndKill", submitAndKill}, {"Batch", batch}, {"BatchFailures", batchFailures}, {"BatchExit", batchExit},
	} {
		if f.Brief && (c.name == "NoLeaks" || c.name == "OpenCancelled") {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.run(t, f) })
	}
	if f.Calls != nil {
		RunCalls(t, f)
	}
	if f.Binds {
		RunBindings(t, f)
	}
}

// patience bounds every wait of the suite; nothing takes that long.
const patience = 60 * time.Second

func (f Fixture) runtime(t *testing.T, function string) runtime.Runtime {
	t.Helper()
	r := f.New(t, function, slog.New(slog.DiscardHandler))
	if r == nil {
		t.Skipf("the runtime has no function %q", function)
	}
	return r
}

func (f Fixture) open(t *testing.T, function string) runtime.Instance {
	t.Helper()
	in := openInstance(t, f.runtime(t, function))
	t.Cleanup(func() { closeInstance(t, in) })
	return in
}

func openInstance(t testing.TB, r runtime.Runtime) runtime.Instance {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	in, err := r.Open(ctx, runtime.Worker{TriggerKind: "http", TriggerName: "suite"})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return in
}

func closeInstance(t testing.TB, in runtime.Instance) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := in.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// newEvent is an event as an HTTP trigger makes it.
func newEvent(body string) *event.Event {
	return &event.Event{
		Source: &event.Source{Kind: "http", Class: "sync", Name: "suite"}, ID: []byte("id-1"), Time: time.Now(),
		Method: []byte("POST"), Path: []byte("/p"), URL: []byte("/p?q=1"), ContentType: []byte("text/plain"),
		Body: []byte(body), Headers: event.Pairs{{Key: "X-Ask", Value: []byte("asked")}},
	}
}

// invoke runs one event and does not wait for ever.
func invoke(t testing.TB, in runtime.Instance, ev *event.Event) (*event.Response, error) {
	t.Helper()
	resp := &event.Response{}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), ev, resp) }()
	return resp, await(t, done)
}

func await[T any](t testing.TB, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing happened for a long time")
	}
	return v
}

func answers(t testing.TB, in runtime.Instance, body, want string) {
	t.Helper()
	resp, err := invoke(t, in, newEvent(body))
	if err != nil {
		t.Fatalf("invoke: %v", err)
	}
	if got := string(resp.Body); got != want {
		t.Fatalf("answered %.100q, want %.100q", got, want)
	}
}

// scribble destroys what the event lent.
func scribble(ev *event.Event) {
	for _, b := range [][]byte{ev.ID, ev.Method, ev.Path, ev.URL, ev.ContentType, ev.Body, ev.Headers.(event.Pairs)[0].Value} {
		for i := range b {
			b[i] = '#'
		}
	}
}

func eventsAreLent(t *testing.T, f Fixture) {
	in := f.open(t, Echo)
	for _, n := range []int{1, 100, 10 << 10, 300 << 10} {
		want := strings.Repeat("e", n)
		ev := newEvent(want)
		resp, err := invoke(t, in, ev)
		if err != nil {
			t.Fatal(err)
		}
		scribble(ev)
		if string(resp.Body) != want {
			t.Fatalf("the answer of %d bytes changed with the event", n)
		}
		answers(t, in, "another", "another")
		if string(resp.Body) != want {
			t.Fatalf("the answer of %d bytes changed with the next event", n)
		}
	}
}

// nothingIsKept lets a function keep what it was given, and destroys it.
func nothingIsKept(t *testing.T, f Fixture) {
	in := f.open(t, Keep)
	for _, n := range []int{10, 20 << 10} {
		first := newEvent(strings.Repeat("k", n))
		if _, err := invoke(t, in, first); err != nil {
			t.Fatal(err)
		}
		scribble(first)
		answers(t, in, strings.Repeat("z", n), strings.Repeat("k", n))
	}
}

func empty(t *testing.T, f Fixture) {
	answers(t, f.open(t, Empty), "body", "")
}

func status(t *testing.T, f Fixture) {
	resp, err := invoke(t, f.open(t, Status), newEvent(""))
	if err != nil || resp.Status != 418 || string(resp.Body) != "teapot" {
		t.Fatalf("status %d, body %q, error %v", resp.Status, resp.Body, err)
	}
}

func headers(t *testing.T, f Fixture) {
	resp, err := invoke(t, f.open(t, Headers), newEvent(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range resp.Header {
		if strings.EqualFold(h.Key, "X-Reply") && h.Value == "asked" {
			return
		}
	}
	t.Fatalf("no X-Reply: asked in %v", resp.Header)
}

func big(t *testing.T, f Fixture) {
	in := f.open(t, Big)
	for _, n := range []string{"0", "1", "5000", "100000", "3000000", "20000000"} {
		resp, err := invoke(t, in, newEvent(n))
		if err != nil {
			t.Fatalf("%s bytes: %v", n, err)
		}
		if rest := bytes.Trim(resp.Body, "x"); len(rest) != 0 {
			t.Fatalf("%s bytes: got %d, some not x", n, len(resp.Body))
		}
		if want := n; want != itoa(len(resp.Body)) {
			t.Fatalf("got %d bytes, want %s", len(resp.Body), n)
		}
	}
}

// noLeaks opens, uses, breaks and closes instances and counts what is left.
func noLeaks(t *testing.T, f Fixture) {
	cycle := func() {
		for _, function := range []string{Echo, Exit, BadInit} {
			r := f.New(t, function, slog.New(slog.DiscardHandler))
			if r == nil {
				continue
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			if in, err := r.Open(ctx, runtime.Worker{}); err == nil {
				_, _ = invoke(t, in, newEvent("x"))
				closeInstance(t, in)
			}
			cancel()
		}
	}
	cycle() // whatever is made once
	ignore := goleak.IgnoreCurrent()
	before := descriptors(t)
	for range 3 {
		cycle()
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d file descriptors before, %d after", before, after)
	}
	if err := goleak.Find(ignore); err != nil {
		t.Error(err)
	}
	if left := children(t); left != "" {
		t.Errorf("processes left: %s", left)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	return len(entries)
}

// recorder is a log that remembers.
type recorder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
