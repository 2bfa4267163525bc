package runtimetest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// The functions of fixtures that can call.
const (
	// Call's body is "NAME BYTES MILLISECONDS". It calls NAME with POST, path
	// "/called?a=b", header X-Own: kept, content type text/x-suite and so many
	// bytes "c", for at most so long, and answers "STATUS LENGTH TYPE REPLY", REPLY being
	// the header X-Reply of the answer; or "failed: " and what the error says.
	Call = "call"
	// CallMany's body is a number. It calls "echo" so often, all at once, with the number of the call
	// in decimal as body, and answers how many of them answered the same.
	CallMany = "call_many"
	// CallBatch takes lists. It calls "echo" with the body of each event and answers with what that answered.
	CallBatch = "call_batch"
)

// RunCalls checks the calls of f's functions only; [Run] includes it.
func RunCalls(t *testing.T, f Fixture) {
	for name, run := range map[string]func(*testing.T, Fixture){"Calls": calls, "CallsTrace": callsTrace, "CallsMany": callsMany, "CallsOfBatch": callsOfBatch, "CallsEnd": callsEnd} {
		t.Run(name, func(t *testing.T) { run(t, f) })
	}
}

// callee is the processor's side: it remembers what it was asked.
type callee struct {
	mu               sync.Mutex
	last             runtime.Call
	now, most, ended int
	gate             chan struct{} // if set, calls of "echo" wait until it is closed
}

// Do implements runtime.Caller.
func (c *callee) Do(ctx context.Context, call *runtime.Call, answer *event.Response) error {
	c.mu.Lock()
	c.last = *call
	c.last.Body = []byte(strings.Clone(string(call.Body)))
	c.now++
	c.most = max(c.most, c.now)
	gate := c.gate
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.now--
		c.ended++
		c.mu.Unlock()
	}()
	switch call.Name {
	case "nobody":
		return event.Errorf(404, "function nobody is not known here")
	case "never":
		<-ctx.Done()
		return event.Errorf(504, "function never did not answer")
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	answer.Status, answer.ContentType = 203, call.ContentType
	answer.Header = append(answer.Header, event.Field{Key: "X-Reply", Value: "heard"})
	answer.Body = append(answer.Body, call.Body...)
	return nil
}

// asked is the last call, and how many there were.
func (c *callee) asked() (runtime.Call, int) {
	c.mu.Lock() // the answer came through the worker, which orders nothing for Go
	defer c.mu.Unlock()
	return c.last, c.ended
}

func (c *callee) is(ok func(*callee) bool) func() bool {
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return ok(c)
	}
}

func (f Fixture) caller(t *testing.T, function string, c runtime.Caller) runtime.Instance {
	t.Helper()
	in := openInstance(t, f.Calls(t, function, c))
	t.Cleanup(func() { closeInstance(t, in) })
	return in
}

func calls(t *testing.T, f Fixture) {
	c := &callee{}
	in := f.caller(t, Call, c)
	for _, n := range []int{0, 1, 1000, 3000, 100_000, 6_000_000} {
		answers(t, in, fmt.Sprintf("echo %d 0", n), fmt.Sprintf("203 %d text/x-suite heard", n))
		last, _ := c.asked()
		if got := len(last.Body); got != n || strings.Trim(string(last.Body), "c") != "" {
			t.Errorf("called with %d bytes of %d", got, n)
		}
	}
	if l, _ := c.asked(); l.Kind != runtime.CallFunction || l.Name != "echo" || l.Method != http.MethodPost || l.Path != "/called?a=b" || l.ContentType != "text/x-suite" {
		t.Errorf("called %d %s: %s %s, %s", l.Kind, l.Name, l.Method, l.Path, l.ContentType)
	}
	for _, want := range []string{"x-own: kept", "x-request-id: id-1"} {
		if got := c.heads(); !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	for range 3 {
		resp, err := invoke(t, in, newEvent("nobody 0 0"))
		if err != nil || !strings.HasPrefix(string(resp.Body), "failed: ") || !strings.Contains(string(resp.Body), "nobody") {
			t.Errorf("unknown function: %q, %v", resp.Body, err)
		}
	}
	began := time.Now()
	resp, err := invoke(t, in, newEvent("never 10 50"))
	if err != nil || !strings.HasPrefix(string(resp.Body), "failed: ") || !strings.Contains(string(resp.Body), "never") {
		t.Errorf("timeout: %q, %v", resp.Body, err)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("a call with 50 ms ended after %s", took)
	}
	answers(t, in, "echo 10 60000", "203 10 text/x-suite heard")
}

func (c *callee) heads() string {
	var all strings.Builder
	last, _ := c.asked()
	for _, h := range last.Headers {
		all.WriteString(strings.ToLower(h.Key) + ": " + h.Value + "\n")
	}
	return all.String()
}

// callsTrace checks that a call belongs to the trace of its event.
func callsTrace(t *testing.T, f Fixture) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c := &callee{}
	in := f.caller(t, Call, c)
	ev := newEvent("echo 1 0")
	ev.Headers = event.Pairs{{Key: "Traceparent", Value: []byte(parent)}, {Key: "Tracestate", Value: []byte("a=1")}}
	if _, err := invoke(t, in, ev); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"traceparent: " + parent, "tracestate: a=1"} {
		if got := c.heads(); !strings.Contains(got, want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// callsOfBatch checks that a function calls on behalf of a list as well, which
// has no trace and no id.
func callsOfBatch(t *testing.T, f Fixture) {
	if !f.Batches {
		t.Skip("the fixture has no function that takes batches")
	}
	c := &callee{}
	in := f.caller(t, CallBatch, c)
	for _, bodies := range [][]string{{"a"}, {"a", strings.Repeat("b", 5000), "c"}} {
		b := newBatch(bodies...)
		b.run(t, in)
		for i, body := range bodies {
			if b.errs[i] != nil || string(b.resps[i].Body) != body {
				t.Errorf("event %d of %d: %.40q, %v", i, len(bodies), b.resps[i].Body, b.errs[i])
			}
		}
		if got := c.heads(); strings.Contains(got, "x-request-id") {
			t.Errorf("a list has an id:\n%s", got)
		}
	}
}

func callsMany(t *testing.T, f Fixture) {
	c := &callee{gate: make(chan struct{})}
	in := f.caller(t, CallMany, c)
	resp := &event.Response{}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), newEvent("500"), resp) }()
	eventually(t, c.is(func(c *callee) bool { return c.now >= 8 }))
	close(c.gate)
	if err := await(t, done); err != nil || string(resp.Body) != "500" {
		t.Fatalf("%q, %v", resp.Body, err)
	}
	if _, n := c.asked(); n != 500 {
		t.Errorf("%d calls", n)
	}
}

// callsEnd kills a worker in the middle of its calls: they end too.
func callsEnd(t *testing.T, f Fixture) {
	c := &callee{}
	in := f.caller(t, Call, c)
	killer, ok := in.(runtime.Killer)
	if !ok {
		t.Skip("an instance of this runtime cannot be killed")
	}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), newEvent("never 100000 0"), &event.Response{}) }()
	eventually(t, c.is(func(c *callee) bool { return c.now == 1 }))
	if err := killer.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := await(t, done); err == nil {
		t.Error("the event of a dead worker was answered")
	}
	eventually(t, c.is(func(c *callee) bool { return c.now == 0 && c.ended == 1 }))
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it did not happen for a long time")
		}
	}
}
