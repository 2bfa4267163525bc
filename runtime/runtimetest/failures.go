package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

func itoa(n int) string { return strconv.Itoa(n) }

// concurrent calls an instance from as many goroutines as it wants.
func concurrent(t *testing.T, f Fixture) {
	in := f.open(t, Echo)
	for i := range 50 { // an adaptive depth needs to see some events
		answers(t, in, itoa(i), itoa(i))
	}
	depth := 1
	if c, ok := in.(runtime.Concurrent); ok {
		if depth = c.Depth(); depth < 1 {
			t.Fatalf("depth %d", depth)
		}
	}
	errs := make(chan error, depth)
	for g := range depth {
		go func() { errs <- hammer(in, g) }()
	}
	for range depth {
		if err := await(t, errs); err != nil {
			t.Error(err)
		}
	}
}

// turns has one caller, and then as many as the instance takes, time and again:
// who is alone in a worker may wait for its answer in another way than others.
func turns(t *testing.T, f Fixture) {
	in := f.open(t, Echo)
	for round := range 10 {
		for i := range 20 {
			answers(t, in, itoa(i), itoa(i))
		}
		depth := 1
		if c, ok := in.(runtime.Concurrent); ok {
			depth = min(c.Depth(), 2+round%4)
		}
		errs := make(chan error, depth)
		for g := range depth {
			go func() { errs <- hammer(in, g) }()
		}
		for range depth {
			if err := await(t, errs); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// hammer sends events of all sizes and checks that each answer is its own.
func hammer(in runtime.Instance, g int) error {
	var resp event.Response
	for i := range 20 {
		want := strings.Repeat(fmt.Sprintf("%d.%d;", g, i), 1+(g*i*i*i)%20000)
		resp.Reset()
		if err := in.Invoke(context.Background(), newEvent(want), &resp); err != nil {
			return err
		}
		if string(resp.Body) != want {
			return fmt.Errorf("event %d of caller %d got another's answer: %.40q", i, g, resp.Body)
		}
	}
	return nil
}

// failures are the function's own outcome: the instance lives on.
func failures(t *testing.T, f Fixture) {
	for name, text := range map[string]string{Fail: "deliberate failure", Panic: "deliberate panic"} {
		t.Run(name, func(t *testing.T) {
			in := f.open(t, name)
			for range 2 {
				_, err := invoke(t, in, newEvent(""))
				var failed *event.Error
				if !errors.As(err, &failed) || failed.Status != f.FailStatus || !strings.Contains(failed.Message, text) {
					t.Fatalf("%v is no *event.Error of status %d with %q", err, f.FailStatus, text)
				}
			}
		})
	}
}

func initHook(t *testing.T, f Fixture) {
	in := f.open(t, UserData)
	answers(t, in, "", "ready")
	answers(t, in, "", "ready")
}

func initFailure(t *testing.T, f Fixture) {
	r := f.runtime(t, BadInit)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	in, err := r.Open(ctx, runtime.Worker{})
	if err == nil {
		closeInstance(t, in)
		t.Fatal("opened, though its init hook failed")
	}
	if !strings.Contains(err.Error(), "deliberate init failure") {
		t.Fatalf("%q does not say what the hook said", err)
	}
}

// logsAsked checks both ways of a log record: the function's log, and the
// response if its caller asked.
func logsAsked(t *testing.T, f Fixture) {
	book := &recorder{}
	r := f.New(t, Logs, slog.New(slog.NewTextHandler(book, nil)))
	if r == nil {
		t.Skip("the runtime has no logger")
	}
	in := openInstance(t, r)
	for level, want := range map[slog.Level]int{slog.LevelDebug: 2, slog.LevelInfo: 1, slog.LevelError: 0} {
		ev := newEvent("")
		ev.LogAsked, ev.LogLevel = true, level
		resp, err := invoke(t, in, ev)
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Logs) != want {
			t.Fatalf("%d records of level %s, want %d: %v", len(resp.Logs), level, want, resp.Logs)
		}
		if want > 0 {
			last := resp.Logs[want-1]
			if last.Message != "an info line" || last.Level != slog.LevelInfo || time.Since(last.Time) > time.Hour {
				t.Fatalf("wrong record: %+v", last)
			}
			if len(last.With) != 1 || last.With[0].Key != "answer" || last.With[0].Value.String() != "42" {
				t.Fatalf("wrong attributes: %v", last.With)
			}
		}
	}
	if resp, err := invoke(t, in, newEvent("")); err != nil || len(resp.Logs) != 0 {
		t.Fatalf("nobody asked, and got %v, %v", resp.Logs, err)
	}
	closeInstance(t, in)
	if got := book.String(); strings.Count(got, "an info line") != 4 || strings.Contains(got, "a debug line") || !strings.Contains(got, "id-1") {
		t.Fatalf("function log:\n%s", got)
	}
}

// kill stops a function that hangs. The event that hangs is crashed; those
// behind it in the same instance were not run.
func kill(t *testing.T, f Fixture) {
	in := f.open(t, Hang)
	k, ok := in.(runtime.Killer)
	if !ok {
		t.Skip("the runtime cannot stop its function")
	}
	answers(t, in, "", "ok")
	depth := 1
	if c, ok := in.(runtime.Concurrent); ok {
		depth = min(c.Depth(), 4)
	}
	errs := make(chan error, depth)
	var started sync.WaitGroup
	for range depth {
		started.Add(1)
		go func() {
			started.Done()
			errs <- in.Invoke(context.Background(), newEvent("hang"), &event.Response{})
		}()
	}
	started.Wait()
	select { // a hanging function has no other sign of life than silence
	case err := <-errs:
		t.Fatalf("a hanging function returned: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	crashed := 0
	for range depth {
		err := await(t, errs)
		if errors.Is(err, event.ErrCrashed) {
			crashed++
		} else if !errors.Is(err, event.ErrNotRun) {
			t.Errorf("killed: %v", err)
		}
	}
	if crashed == 0 {
		t.Error("no event was reported as begun")
	}
	gone(t, in)
}

// gone checks that in is known to be broken and runs nothing more.
func gone(t *testing.T, in runtime.Instance) {
	t.Helper()
	if b, ok := in.(runtime.Broken); ok {
		await(t, b.Broken())
	}
	if _, err := invoke(t, in, newEvent("")); !errors.Is(err, event.ErrNotRun) {
		t.Errorf("a broken instance answered %v, want ErrNotRun", err)
	}
}

func killIdle(t *testing.T, f Fixture) {
	in := f.open(t, Echo)
	k, ok := in.(runtime.Killer)
	if !ok {
		t.Skip("the runtime cannot stop its function")
	}
	if _, ok := in.(runtime.Broken); !ok {
		t.Skip("an idle instance of the runtime cannot break")
	}
	answers(t, in, "x", "x")
	for range 2 {
		if err := k.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	gone(t, in)
}

func exit(t *testing.T, f Fixture) {
	in := f.open(t, Exit)
	_, err := invoke(t, in, newEvent(""))
	if !errors.Is(err, event.ErrCrashed) {
		t.Fatalf("the function ended its process: %v, want ErrCrashed", err)
	}
	gone(t, in)
}

func openCancelled(t *testing.T, f Fixture) {
	r := f.runtime(t, Echo)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	done := make(chan error, 1)
	go func() {
		in, err := r.Open(ctx, runtime.Worker{})
		if err == nil { // it may have been quicker than the look at ctx
			err = in.Close(context.Background())
		}
		done <- err
	}()
	_ = await(t, done)
	in := openInstance(t, r) // and the runtime still opens
	answers(t, in, "x", "x")
	closeInstance(t, in)
}

// children lists the processes that this one still has.
func children(t *testing.T) string {
	t.Helper()
	files, _ := filepath.Glob("/proc/self/task/*/children")
	var all []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil {
			all = append(all, strings.Fields(string(b))...)
		}
	}
	return strings.Join(all, " ")
}
