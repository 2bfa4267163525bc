package shm

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
)

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come about that " + what)
		}
	}
}

// holds waits until a caller that is alone waits at its own bell.
func holds(t *testing.T, in *Instance) {
	t.Helper()
	until(t, "a caller waits at the second bell", func() bool { return in.lone.waits.Load() != nil && in.goSleep.Load() == bellSecond })
}

// outcomeOf invokes in the background and returns what will come of it.
func outcomeOf(in *Instance, body string) <-chan error {
	out := make(chan error, 1)
	go func() {
		var resp event.Response
		err := in.Invoke(context.Background(), &event.Event{Body: []byte(body)}, &resp)
		if err == nil && string(resp.Body) != body {
			err = fmt.Errorf("answer of %d bytes to an event of %d", len(resp.Body), len(body))
		}
		out <- err
	}()
	return out
}

func within(t *testing.T, out <-chan error) error {
	t.Helper()
	select {
	case err := <-out:
		return err
	case <-time.After(time.Minute):
		t.Fatal("no outcome")
		return nil
	}
}

// stopWorker stops the process of in, once its reader is parked, and returns when
// none of its threads runs.
func stopWorker(t *testing.T, in *Instance) {
	t.Helper()
	until(t, "the reader is parked", func() bool { return in.goSleep.Load() == bellFirst })
	if err := syscall.Kill(in.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(in.Pid(), syscall.SIGCONT) })
	until(t, "the worker has stopped", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", in.Pid()))
		if err != nil || len(threads) == 0 {
			t.Fatal(threads, err)
		}
		for _, path := range threads {
			text, err := os.ReadFile(path)
			if _, after, _ := strings.Cut(string(text), ") "); err == nil && !strings.HasPrefix(after, "T") {
				return false
			}
		}
		return true
	})
}

// A caller that is alone hears its answer itself, those that come while it
// waits have theirs from it, and afterwards the reader is the reader again.
func TestAlone(t *testing.T) {
	in := openWorker(t, "echo", Limits{})
	stopWorker(t, in)
	all := []<-chan error{outcomeOf(in, "first")}
	holds(t, in)
	for i := range 5 {
		all = append(all, outcomeOf(in, fmt.Sprint("other ", i)))
	}
	until(t, "all are sent", func() bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return in.requests.Pos == 6
	})
	if err := syscall.Kill(in.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for _, out := range all {
		if err := within(t, out); err != nil {
			t.Error(err)
		}
	}
	in.reading.Lock()
	defer in.reading.Unlock()
	if in.lone.holder != nil || in.lone.waits.Load() != nil || in.goSleep.Load() == bellSecond {
		t.Error("a caller is still the reader")
	}
}

// An event that is called back from a worker that never began it has its
// outcome, though no ring of the worker's says so.
func TestAloneAndRecalled(t *testing.T) {
	in := openWorker(t, "echo", Limits{})
	stopWorker(t, in)
	out := outcomeOf(in, "body")
	holds(t, in)
	recalled := 0
	until(t, "it is called back", func() bool { recalled = in.Recall(); return recalled > 0 })
	if err := within(t, out); recalled != 1 || !errors.Is(err, event.ErrRecalled) {
		t.Errorf("%d recalled, %v", recalled, err)
	}
}

// A caller that waits alone learns of its worker's death.
func TestAloneAndDead(t *testing.T) {
	in := openWorker(t, "echo", Limits{})
	stopWorker(t, in)
	out := outcomeOf(in, "body")
	holds(t, in)
	if err := in.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, out); !errors.Is(err, event.ErrNotRun) {
		t.Error(err)
	}
	<-in.Broken()
	if err := within(t, outcomeOf(in, "body")); !errors.Is(err, event.ErrNotRun) {
		t.Error(err)
	}
}

// Callers that are alone, that come while another waits, and crowds take turns:
// all have their answers, with either kind of worker.
func TestAloneAndCrowds(t *testing.T) {
	for _, mode := range []string{"echo", "echo" + oneBell} {
		t.Run(mode, func(t *testing.T) {
			in := openWorker(t, mode, Limits{})
			if in.TwoBells() != (mode == "echo") {
				t.Errorf("two bells: %v", in.TwoBells())
			}
			for round := range 40 {
				for _, n := range []int{1, 1 + round%8} {
					for _, err := range crowd(in, n, 60, 100) {
						if err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		})
	}
}

// Events are called back, and workers die, while callers come and go.
func TestAloneInTheMidst(t *testing.T) {
	for range 5 {
		in := openWorker(t, "echo", Limits{})
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for {
					var resp event.Response
					err := in.Invoke(context.Background(), &event.Event{Body: []byte("body")}, &resp)
					switch {
					case errors.Is(err, event.ErrRecalled):
					case err != nil:
						if !errors.Is(err, event.ErrCrashed) && !errors.Is(err, event.ErrNotRun) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
		for range 200 {
			in.Recall()
			time.Sleep(100 * time.Microsecond)
		}
		if err := in.Kill(); err != nil {
			t.Error(err)
		}
		all.Wait()
	}
}
