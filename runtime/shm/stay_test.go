package shm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// openStaying opens a worker whose calls are done by who stays.
func openStaying(t *testing.T, mode string, caller runtime.Caller) *Instance {
	t.Helper()
	o := Options{Path: os.Args[0], Env: []string{"SHM_TEST_WORKER=" + mode}, Log: discard, FunctionLog: discard, Calls: caller, Stay: true}
	in, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = in.Close(ctx)
	})
	return in
}

// Calls in a row, with pauses that are shorter and longer than who did one stays,
// of a caller that is alone and of several, all have their answers; and so have the
// events.
func TestStaysForTheNextCall(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"calls in a row", "calls in a row" + oneBell} {
		in := openStaying(t, mode, &testCaller{})
		for round := range 4 {
			var crowd sync.WaitGroup
			for range 1 + 3*(round%2) {
				crowd.Go(func() {
					for i := range 6 {
						var resp event.Response
						err := in.Invoke(t.Context(), &event.Event{Body: fmt.Appendf(nil, "10 %d", i*20)}, &resp)
						if err != nil || string(resp.Body) != "10 answers" {
							t.Errorf("%s: %q, %v", mode, resp.Body, err)
						}
					}
				})
			}
			crowd.Wait()
		}
	}
}

// While who stays does a call that takes its time, others are answered.
func TestALongCallHoldsUpNobody(t *testing.T) {
	t.Parallel()
	caller := &testCaller{}
	in := openStaying(t, "call all and go on", caller)
	for i := range 50 {
		if got := ask(t, in, "body"); got != "asked" {
			t.Fatalf("event %d: %q", i, got)
		}
	}
	eventually(t, func() bool { return caller.running.Load() == cellCount })
}

// stubborn does calls of a service that hangs, and heeds nothing.
type stubborn struct{ begun, release chan struct{} }

func (s *stubborn) Do(context.Context, *runtime.Call, *event.Response) error {
	s.begun <- struct{}{}
	<-s.release
	return nil
}

// An event whose worker is killed, as one that is late is, ends then, and not when
// the call does that it asked for.
func TestAHangingCallDoesNotHoldItsEvent(t *testing.T) {
	t.Parallel()
	caller := &stubborn{make(chan struct{}, 1), make(chan struct{})}
	in := openStaying(t, "call bind", caller)
	defer close(caller.release)
	out := outcomeOf(in, "body")
	select {
	case <-caller.begun:
	case <-time.After(time.Minute):
		t.Fatal("no call was made")
	}
	if err := in.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := within(t, out); !errors.Is(err, event.ErrCrashed) {
		t.Errorf("an event whose worker was killed: %v", err)
	}
}

// A worker that dies in the middle of calls leaves nothing: whoever stays ends.
func TestWhoStaysEndsWithTheWorker(t *testing.T) {
	t.Parallel()
	caller := &testCaller{}
	in := openStaying(t, "calls in a row", caller)
	out := make(chan error, 1)
	go func() {
		var resp event.Response
		out <- in.Invoke(context.Background(), &event.Event{Body: []byte("100000000 0")}, &resp)
	}()
	until(t, "calls are made", func() bool {
		_, ok := caller.calls.Load((*runtime.Scope)(nil))
		return ok
	})
	if err := unix.Kill(in.Pid(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := within(t, out); err == nil {
		t.Error("the event of a worker that died was answered")
	}
	ended := make(chan struct{})
	go func() {
		in.tasks.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("who did calls of the worker has not ended")
	}
	if n := in.stay.running.Load(); n != 0 {
		t.Errorf("%d calls are said to run", n)
	}
}
