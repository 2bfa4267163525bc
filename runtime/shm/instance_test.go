package shm

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/runtimetest"
	"github.com/myelin-run/myelin/runtime/shm/ring"
	"github.com/myelin-run/myelin/runtime/shm/wire"
)

func TestCrowd(t *testing.T) {
	defer goleak.VerifyNone(t)
	in, err := startWorker(t, "echo", Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range crowd(in, 64, 50, 100_000) {
		if err != nil {
			t.Error(err)
		}
	}
	if err := in.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// More callers than slots, and bodies that fill the arena: everybody waits, and
// everybody is served.
func TestBackpressure(t *testing.T) {
	in := openWorker(t, "echo", Limits{Slots: 4, Arena: 64 << 10})
	for _, err := range crowd(in, 32, 40, 16<<10-wire.MetaFixed) {
		if err != nil {
			t.Error(err)
		}
	}
}

type cachedValues struct{ seq iter.Seq2[[]byte, []byte] }

func (c cachedValues) Get(string) []byte              { return nil }
func (c cachedValues) All() iter.Seq2[[]byte, []byte] { return c.seq }

func TestNoAllocations(t *testing.T) {
	in := openWorker(t, "echo", Limits{})
	ev := sampleEvent()
	p := event.Pairs{{Key: "X-Header", Value: []byte("value")}}
	key := []byte(p[0].Key)
	ev.Headers = cachedValues{func(yield func(k, v []byte) bool) { yield(key, p[0].Value) }}
	ev.Fields = nil
	for _, size := range []int{100, 100_000} {
		ev.Body = make([]byte, size)
		var resp event.Response
		failed := error(nil)
		run := func() {
			resp.Reset()
			if err := in.Invoke(context.Background(), ev, &resp); err != nil {
				failed = err
			}
		}
		if n := testing.AllocsPerRun(300, run); n != 0 {
			t.Errorf("%v allocations per event of %d bytes", n, size)
		}
		if failed != nil || len(resp.Body) != size {
			t.Fatalf("%d bytes, %v", len(resp.Body), failed)
		}
	}
}

// Each way of breaking the rules costs the worker its life, and no more.
func TestViolations(t *testing.T) {
	for _, mode := range []string{"status", "slot", "generation", "outside", "overflow", "meta", "twice", "recalled",
		"flood", "endless", "part in file", "part outside", "part after end", "retain twice", "retain all", "release", "release early",
		"unknown flag", "generation 0", "no file", "short file", "pipe", "die"} {
		t.Run(mode, func(t *testing.T) {
			in := openWorker(t, mode, Limits{})
			deadline := time.Now().Add(time.Minute)
			for {
				resp := &event.Response{Takes: event.TakesStreams}
				err := in.Invoke(context.Background(), &event.Event{Body: []byte("body")}, resp)
				if resp.Stream != nil {
					_, _ = io.Copy(io.Discard, resp.Stream)
					_ = resp.Stream.Close()
				}
				if errors.Is(err, event.ErrNotRun) {
					break
				}
				if err != nil && !errors.Is(err, event.ErrCrashed) {
					t.Fatal(err)
				}
				if time.Now().After(deadline) {
					t.Fatal("it goes on for ever")
				}
			}
			<-in.Broken()
		})
	}
}

// Streams of many callers, some of which leave early.
func TestStreams(t *testing.T) {
	in := openWorker(t, "stream", Limits{Slots: 8})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 10 {
				resp := &event.Response{Takes: event.TakesStreams}
				want := strings.Repeat(string(rune('a'+g)), 1+g*i%40)
				if err := in.Invoke(context.Background(), &event.Event{Body: []byte(want)}, resp); err != nil {
					t.Error(err)
					return
				}
				var r io.Reader = resp.Stream
				if i%3 == 2 {
					r = io.LimitReader(r, 3)
					want = want[:min(len(want), 3)]
				}
				if got, err := io.ReadAll(r); err != nil || string(got) != want {
					t.Errorf("%q, want %q, %v", got, want, err)
				}
				if err := resp.Stream.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.free) != 8 || in.pinned.Load() != 0 || in.refs.Load() != 1 {
		t.Errorf("%d of 8 slots free, %d pinned, %d references", len(in.free), in.pinned.Load(), in.refs.Load())
	}
}

// Close while a view and a stream are out: their memory stays.
func TestCloseWithViews(t *testing.T) {
	for _, mode := range []string{"echo", "stream"} {
		in, err := startWorker(t, mode, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		resp := &event.Response{Takes: event.TakesStreams | event.TakesViews}
		body := []byte(strings.Repeat("x", 100_000))
		if err := in.Invoke(t.Context(), &event.Event{Body: body}, resp); err != nil {
			t.Fatal(err)
		}
		if err := in.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := in.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if mode == "echo" {
			if resp.Owner == nil || string(resp.View) != string(body) {
				t.Errorf("the view is not what it was")
			}
			resp.Reset()
		} else {
			if b, err := io.ReadAll(resp.Stream); !errors.Is(err, event.ErrCrashed) || len(b) == 0 {
				t.Errorf("stream of a dead worker: %d bytes, %v", len(b), err)
			}
			if err := resp.Stream.Close(); err != nil {
				t.Error(err)
			}
		}
		if n := in.refs.Load(); n != 0 {
			t.Errorf("%s: %d references are left", mode, n)
		}
	}
}

// A worker that writes at random over the whole mapping under load brings no
// panic, no hang and no unknown error; its answers are worth nothing.
func TestScribble(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		in := openWorker(t, "scribble", Limits{Slots: 16, Arena: 64 << 10})
		done := make(chan []error, 1)
		go func() { done <- crowd(in, 16, 1<<30, 5000) }()
		time.AfterFunc(300*time.Millisecond, func() { _ = in.Kill() }) // if it was lucky, it ends now
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("callers hang")
		}
		<-in.Broken()
	}
}

func TestStartErrors(t *testing.T) {
	if _, err := startWorker(t, "refuse", Limits{}); err == nil || err.Error() != "no thanks" {
		t.Errorf("refused: %v", err)
	}
	if _, err := startWorker(t, "garbage", Limits{}); err == nil || !strings.Contains(err.Error(), "ended before it was ready") {
		t.Errorf("garbage: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	_, err := Start(ctx, Options{Path: os.Args[0], Env: []string{"SHM_TEST_WORKER=silent"}, Log: log, FunctionLog: log})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent: %v", err)
	}
	if _, err := startWorker(t, "echo", Limits{Slots: 3}); err == nil {
		t.Error("three slots were accepted")
	}
	if _, err := Start(t.Context(), Options{Path: "/no/such", Log: log, FunctionLog: log}); err == nil {
		t.Error("a worker that does not exist was started")
	}
}

// A stopped worker answers nothing and dies all the same.
func TestStoppedWorker(t *testing.T) {
	in := openWorker(t, "echo", Limits{})
	if errs := crowd(in, 1, 10, 10); errs[0] != nil {
		t.Fatal(errs[0])
	}
	runtimetest.Halt(t, in.Pid())
	done := make(chan []error, 1)
	go func() { done <- crowd(in, 8, 1, 1000) }()
	select {
	case errs := <-done:
		t.Fatalf("a stopped worker answered: %v", errs)
	case <-time.After(200 * time.Millisecond):
	}
	if err := in.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, err := range <-done {
		if !errors.Is(err, event.ErrNotRun) {
			t.Errorf("%v, want ErrNotRun: it was never begun", err)
		}
	}
}

// Events that wait behind a slow one can be called back, and only those; the
// instance goes on as before.
func TestRecall(t *testing.T) {
	in := openWorker(t, "slow", Limits{Slots: 8})
	if in.Recall() != 0 {
		t.Error("events were called back and there are none")
	}
	slow := make(chan error, 1)
	go func() {
		slow <- in.Invoke(context.Background(), &event.Event{Body: make([]byte, 500)}, &event.Response{})
	}()
	for in.requests.ClaimAt(0).Load() != ring.Claim(0, ring.ClaimBegun) {
		time.Sleep(time.Millisecond)
	}
	quick := make(chan error, 4)
	for range cap(quick) {
		go func() { quick <- in.Invoke(context.Background(), &event.Event{}, &event.Response{}) }()
	}
	for found := 0; found < cap(quick); {
		found += in.Recall()
		time.Sleep(time.Millisecond)
	}
	if in.Depth() != 1 {
		t.Errorf("depth %d after a recall", in.Depth())
	}
	for range cap(quick) {
		if err := <-quick; !errors.Is(err, event.ErrRecalled) {
			t.Errorf("called back: %v", err)
		}
	}
	select {
	case err := <-slow:
		t.Errorf("the slow event has returned: %v", err)
	default:
	}
	if err := <-slow; err != nil {
		t.Error(err)
	}
	for _, err := range crowd(in, 16, 20, 2) {
		if err != nil {
			t.Error(err)
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.free) != 8 {
		t.Errorf("%d of 8 slots are free", len(in.free))
	}
}

// What is lent for an event that was called back goes back with a worker that
// dies before it has passed over its entry, and so does what it retained.
func TestRecalledAndDead(t *testing.T) {
	in, err := startWorker(t, "slow", Limits{Slots: 8})
	if err != nil {
		t.Fatal(err)
	}
	slow, quick := make(chan error, 1), make(chan error, 1)
	go func() {
		slow <- in.Invoke(context.Background(), &event.Event{Body: make([]byte, 60_000)}, &event.Response{})
	}()
	for in.requests.ClaimAt(0).Load() != ring.Claim(0, ring.ClaimBegun) {
		time.Sleep(time.Millisecond)
	}
	loan := in.Lend(10)
	go func() {
		quick <- in.Invoke(context.Background(), &event.Event{Body: loan.Bytes(), Loan: loan}, &event.Response{})
	}()
	for in.Recall() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := <-quick; !errors.Is(err, event.ErrRecalled) {
		t.Errorf("called back: %v", err)
	}
	loan.Release()
	if err := in.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-slow; !errors.Is(err, event.ErrCrashed) {
		t.Errorf("killed: %v", err)
	}
	nothingHeld(t, in)
}

func TestRetainedAndDead(t *testing.T) {
	in, err := startWorker(t, "retain all", Limits{Slots: 8})
	if err != nil {
		t.Fatal(err)
	}
	loan := in.Lend(10)
	if err := in.Invoke(t.Context(), &event.Event{Body: loan.Bytes(), Loan: loan}, &event.Response{}); err != nil {
		t.Fatal(err)
	}
	loan.Release()
	if in.OnLoan() == 0 {
		t.Error("what is retained is no longer lent")
	}
	if err := in.Kill(); err != nil {
		t.Fatal(err)
	}
	nothingHeld(t, in)
}

// nothingHeld closes an instance, of which nothing may be left.
func nothingHeld(t *testing.T, in *Instance) {
	t.Helper()
	if err := in.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if refs, pinned, free := in.refs.Load(), in.pinned.Load(), len(in.free); refs != 0 || pinned != 0 || free != len(in.slots) || in.OnLoan() != 0 {
		t.Errorf("%d references, %d pinned, %d of %d slots free, %d bytes lent", refs, pinned, free, len(in.slots), in.OnLoan())
	}
}

// Under any mixture of recalls each event is answered or called back, and no
// slot is lost.
func TestRecallUnderLoad(t *testing.T) {
	in := openWorker(t, "echo", Limits{Slots: 8, Arena: 64 << 10})
	stop, stopped := make(chan struct{}), make(chan int)
	var answered atomic.Int64
	go func() {
		n := 0
		for seen := int64(-1); ; {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			if now := answered.Load(); now != seen { // else it could go on for ever, the worker being slow
				seen = now
				n += in.Recall()
			}
			time.Sleep(50 * time.Microsecond)
		}
	}()
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			var resp event.Response
			for i := range 300 {
				body := strings.Repeat("x", i*i%15_000)
				err := event.ErrRecalled
				for errors.Is(err, event.ErrRecalled) {
					resp.Reset()
					err = in.Invoke(context.Background(), &event.Event{Body: []byte(body)}, &resp)
				}
				if err != nil || string(resp.Body) != body {
					t.Errorf("%d bytes, %v", len(resp.Body), err)
					return
				}
				answered.Add(1)
			}
		})
	}
	wg.Wait()
	close(stop)
	t.Logf("%d events were called back", <-stopped)
}

func TestTooLarge(t *testing.T) {
	in := openWorker(t, "echo", Limits{MaxBody: 1000})
	var failed *event.Error
	err := in.Invoke(t.Context(), &event.Event{Body: make([]byte, 1001)}, &event.Response{})
	if !errors.As(err, &failed) || failed.Status != 413 {
		t.Errorf("got %v", err)
	}
	if errs := crowd(in, 1, 1, 10); errs[0] != nil {
		t.Errorf("afterwards: %v", errs[0])
	}
}
