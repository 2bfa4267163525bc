package java

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

func TestOutputIsLogged(t *testing.T) {
	r, logs := fixture{handler: "Cases$Prints"}.make(t)
	in, err := r.Open(t.Context(), runtime.Worker{ID: 4})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(t, in, &event.Event{ID: []byte("ev-1")}); err != nil {
		t.Fatal(err)
	}
	closeNow(t, in)
	for _, want := range []string{
		`level=INFO msg=printed worker=4 event=ev-1`, `level=ERROR msg="to stderr" worker=4 event=ev-1`, `msg="bÿ\x00"`, strings.Repeat("y", 10000),
		`msg="from child"`, `level=WARN msg=warned worker=4 event=ev-1 number=7 list=[1]`, `msg=100% worker=4`, `msg="%d is no number [x]"`,
		`level=ERROR msg=failed worker=4 event=ev-1 error="java.io.IOException: inner\n`, `level=INFO msg="no newline" worker=4 event=ev-1`,
	} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("no %.80s in\n%s", want, strings.ReplaceAll(logs.String(), strings.Repeat("y", 100), ""))
		}
	}
}

// Events of a worker that is killed under load are told apart: what was not
// begun never ran.
func TestKilledUnderLoad(t *testing.T) {
	for _, attrs := range []map[string]any{nil, {"threads": 16}} {
		r, _ := fixture{handler: "Cases$Begun", attrs: attrs}.make(t)
		in, err := r.Open(t.Context(), runtime.Worker{})
		if err != nil {
			t.Fatal(err)
		}
		outcomes := loadAndKill(t, in)
		closeNow(t, in)
		b, err := os.ReadFile(filepath.Join(r.set.Dir, "begun"))
		if err != nil {
			t.Fatal(err)
		}
		ran := map[string]bool{}
		for line := range strings.Lines(string(b)) {
			ran[strings.TrimSpace(line)] = true
		}
		for name, err := range outcomes {
			switch {
			case err == nil && !ran[name]:
				t.Errorf("%s was answered and never ran", name)
			case errors.Is(err, event.ErrNotRun) && ran[name]:
				t.Errorf("%s ran and was said not to have", name)
			case err != nil && !errors.Is(err, event.ErrNotRun) && !errors.Is(err, event.ErrCrashed):
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// loadAndKill invokes from 64 goroutines until the worker is killed.
func loadAndKill(t *testing.T, in runtime.Instance) map[string]error {
	var mu sync.Mutex
	outcomes := map[string]error{}
	var wg sync.WaitGroup
	served := make(chan struct{}, 64)
	for g := range 64 {
		wg.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d", g, i)
				var resp event.Response
				err := in.Invoke(context.Background(), &event.Event{Body: []byte(name)}, &resp)
				if err == nil && string(resp.Body) != name {
					err = errors.New("another's answer")
				}
				mu.Lock()
				outcomes[name] = err
				mu.Unlock()
				if err != nil {
					return
				}
				if i == 20 {
					served <- struct{}{}
				}
			}
		})
	}
	for range 32 {
		<-served
	}
	if err := syscall.Kill(in.(interface{ Pid() int }).Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	return outcomes
}

// Events run at once where the function says so: they all wait for the last.
func TestConcurrency(t *testing.T) {
	for _, f := range []fixture{{handler: "Cases$TenLater"}, {handler: "Cases$Ten", attrs: map[string]any{"threads": 10}}} {
		in, logs := f.open(t)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				want := strings.Repeat(fmt.Sprint(i), 3000*i)
				resp, err := call(t, in, &event.Event{ID: []byte(fmt.Sprintf("id%d", i)), Body: []byte(want)})
				if err != nil || string(resp.Body) != want {
					t.Errorf("event %d: %d bytes, %v", i, len(resp.Body), err)
				}
			})
		}
		wg.Wait()
		closeNow(t, in) // its last log records are read by now
		for i := range 10 {
			if id := fmt.Sprintf("id%d", i); f.attrs != nil && (!strings.Contains(logs.String(), "msg=served worker=0 event="+id) ||
				!strings.Contains(logs.String(), `msg="printed `+id+`" worker=0 event=`+id)) {
				t.Errorf("%s is not in the log:\n%s", id, logs)
			}
		}
	}
}

func TestDepth(t *testing.T) {
	for _, c := range []struct {
		handler string
		attrs   map[string]any
		want    int
	}{
		{"Cases$Order", nil, 1},
		{"Cases$TenLater", nil, 64},
		{"Cases$TenLater", map[string]any{"asyncConcurrency": 5}, 5},
		{"Cases$TenLater", map[string]any{"async": false}, 1},
		{"Cases$Order", map[string]any{"threads": 8}, 8},
		{"Cases$Order", map[string]any{"threads": 8, "asyncConcurrency": 3}, 3},
	} {
		in, _ := fixture{handler: c.handler, attrs: c.attrs}.open(t)
		if in.Depth() != c.want {
			t.Errorf("%s %v: depth %d, want %d", c.handler, c.attrs, in.Depth(), c.want)
		}
	}
}

// Without threads, events run in their order in the one thread.
func TestOrder(t *testing.T) {
	in, _ := fixture{handler: "Cases$Order"}.open(t)
	for i := range 200 {
		if resp, err := call(t, in, &event.Event{}); err != nil || string(resp.Body) != fmt.Sprintf("%d main", i) {
			t.Fatalf("%s, %v", resp.Body, err)
		}
	}
}

// Views outlive their events, and where there are too many, copies do.
func TestViews(t *testing.T) {
	in, _ := fixture{handler: "Cases$Views"}.open(t)
	send := func(body string) string {
		resp, err := call(t, in, &event.Event{Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		return string(resp.Body)
	}
	for round := range 3 {
		for i := range 150 {
			send(strings.Repeat(string(rune('a'+(i+round)%26)), 5000+i*100))
		}
		var kept, direct int
		if _, err := fmt.Sscan(send(""), &kept, &direct); err != nil || kept != 150 || direct == 0 || direct > 64 {
			t.Fatalf("round %d: %d kept, %d in place, %v", round, kept, direct, err)
		}
		send("x") // lets go: the collector releases what was in place
	}
	send(strings.Repeat("z", 3_000_000))
	send(strings.Repeat("z", 30_000_000)) // in a file
	if got := send(""); !strings.HasPrefix(got, "2 ") {
		t.Errorf("got %s", got)
	}
}

func TestMisbehaviour(t *testing.T) {
	for what, tells := range map[string]string{
		"exit": "exit status 4", "halt": "exit status 9",
		"eat": "Terminating due to java.lang.OutOfMemoryError: Java heap space", "eat direct": "OutOfMemoryError: Cannot reserve",
	} {
		t.Run(what, func(t *testing.T) {
			in, logs := fixture{handler: "Cases$Misbehaves", attrs: map[string]any{"jvmOptions": []string{"-Xmx48m"}}}.open(t)
			_, err := call(t, in, &event.Event{Body: []byte(what)})
			if what == "eat direct" { // no exhaustion of the heap: an error like another
				var failed *event.Error
				if !errors.As(err, &failed) || !strings.Contains(failed.Message, tells) {
					t.Errorf("got %v", err)
				}
				return
			}
			closeNow(t, in)
			if !errors.Is(err, event.ErrCrashed) || !strings.Contains(logs.String(), tells) {
				t.Errorf("%v, and the log does not tell %s:\n%s", err, tells, logs)
			}
		})
	}
	in, logs := fixture{handler: "Cases$Misbehaves"}.open(t)
	for _, what := range []string{"thread", "interrupted", "interrupted"} {
		if resp, err := call(t, in, &event.Event{Body: []byte(what)}); err != nil || string(resp.Body) != "alive" {
			t.Errorf("%s: %q, %v", what, resp.Body, err)
		}
	}
	closeNow(t, in)
	if !strings.Contains(logs.String(), `Exception in thread \"loose\" java.lang.IllegalStateException: in a thread`) {
		t.Errorf("not told:\n%s", logs)
	}
}

// A worker that is stopped like a process that hangs can be killed, and one
// that goes on has lost nothing.
func TestStopped(t *testing.T) {
	in, _ := fixture{handler: "Cases$Order"}.open(t)
	if _, err := call(t, in, &event.Event{}); err != nil {
		t.Fatal(err)
	}
	runtimetest.Halt(t, in.Pid())
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), &event.Event{}, &event.Response{}) }()
	select {
	case err := <-done:
		t.Fatalf("a stopped worker answered %v", err)
	case <-time.After(100 * time.Millisecond): // silence is all that can be seen
	}
	if err := syscall.Kill(in.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	runtimetest.Halt(t, in.Pid())
	go func() { done <- in.Invoke(context.Background(), &event.Event{}, &event.Response{}) }()
	if err := in.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, event.ErrNotRun) && !errors.Is(err, event.ErrCrashed) {
		t.Errorf("killed: %v", err)
	}
}

// Stopping waits for what is in flight, and tells the function.
func TestCloseWaits(t *testing.T) {
	in, logs := fixture{handler: "Cases$Closes", attrs: map[string]any{"async": true}}.open(t)
	done := make(chan error, 1)
	var resp event.Response
	go func() { done <- in.Invoke(context.Background(), &event.Event{}, &resp) }()
	if err := <-done; err != nil || string(resp.Body) != "done" {
		t.Errorf("%q, %v", resp.Body, err)
	}
	began := time.Now()
	closeNow(t, in)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("an idle worker took %s to end", took)
	}
	if !strings.Contains(logs.String(), `msg="closed in order"`) {
		t.Errorf("not told to close:\n%s", logs)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("PROCESSOR_SECRET", "hidden")
	r, _ := fixture{handler: "Cases$Environment", env: []function.EnvVar{{Name: "MINE", Value: "v"}}}.make(t)
	if err := os.WriteFile(filepath.Join(r.set.Dir, "data.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := r.Open(t.Context(), runtime.Worker{ID: 2, TriggerKind: "http", TriggerName: "web"})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, in)
	resp, err := call(t, in, &event.Event{})
	if err != nil || string(resp.Body) != `["v",null,"f","f",2,"http","web",true,true]` {
		t.Errorf("%s, %v", resp.Body, err)
	}
}

// An idle worker does nothing: neither timers of its own nor polling.
func TestIdle(t *testing.T) {
	in, _ := fixture{handler: "Cases$Order"}.open(t)
	for range 100 {
		if _, err := call(t, in, &event.Event{}); err != nil {
			t.Fatal(err)
		}
	}
	// The compiler may still have what it was given; afterwards only the machine's own periodic tasks are left.
	used := func() int {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", in.Pid()))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		var user, system int
		f := strings.Fields(rest)
		if _, err := fmt.Sscan(f[11]+" "+f[12], &user, &system); err != nil {
			t.Fatal(err)
		}
		return user + system
	}
	for deadline := time.Now().Add(time.Minute); ; {
		before := used()
		time.Sleep(time.Second) // what is measured is a time
		if ticks := used() - before; ticks <= 1 {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%d ticks in a second without events", ticks)
		}
	}
}
