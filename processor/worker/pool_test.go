package worker

import (
	"context"
	"errors"
	"log/slog"
	"math/rand"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a runtime whose function is a Go func that sees its instance.
type fake struct {
	fn     func(i *inst, ev *event.Event, resp *event.Response) error
	depth  int
	opened atomic.Int32
	refuse atomic.Int32 // opens still to fail
}

func (f *fake) Open(_ context.Context, w runtime.Worker) (runtime.Instance, error) {
	if f.refuse.Add(-1) >= 0 {
		return nil, errors.New("refused")
	}
	f.opened.Add(1)
	i := &inst{fake: f, id: w.ID, killed: make(chan struct{}), broken: make(chan struct{})}
	if f.depth == 0 {
		return struct{ runtime.Instance }{i}, nil // neither concurrent nor killable: as native is
	}
	return i, nil
}

type inst struct {
	*fake
	id      int
	running atomic.Int32
	once    sync.Once
	killed  chan struct{}
	broken  chan struct{}
	closed  atomic.Bool
}

func (i *inst) Invoke(_ context.Context, ev *event.Event, resp *event.Response) error {
	i.running.Add(1)
	defer i.running.Add(-1)
	select {
	case <-i.killed:
		return event.ErrNotRun
	default:
	}
	return i.fn(i, ev, resp)
}
func (i *inst) Close(context.Context) error { i.closed.Store(true); return nil }
func (i *inst) Depth() int                  { return i.depth }
func (i *inst) Kill() error                 { i.once.Do(func() { close(i.killed) }); return nil }
func (i *inst) Broken() <-chan struct{}     { return i.broken }

func open(t *testing.T, f *fake, o Options) *Pool {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	p := New(f, o)
	if err := p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func handle(h trigger.Handler, body string) error {
	var resp event.Response
	return h.Handle(context.Background(), &event.Event{Body: []byte(body)}, &resp)
}

// No instance ever runs more events than it has room for, and each event is
// run once, whatever breaks on the way.
func TestPoolRunsEachEventOnce(t *testing.T) {
	for _, depth := range []int{0, 1, 4} {
		var ran atomic.Int64
		f := &fake{depth: depth}
		f.fn = func(i *inst, _ *event.Event, _ *event.Response) error {
			if n := i.running.Load(); int(n) > max(depth, 1) {
				t.Errorf("%d events at once in an instance of depth %d", n, depth)
			}
			if depth > 0 && rand.Intn(50) == 0 {
				i.Kill()
				return event.ErrNotRun
			}
			ran.Add(1)
			return nil
		}
		p := open(t, f, Options{Size: 3})
		var wg sync.WaitGroup
		for range 20 {
			h := p.For(10*time.Second, nil)
			wg.Go(func() {
				for range 100 {
					if err := handle(h, "x"); err != nil {
						t.Errorf("handle: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if ran.Load() != 2000 {
			t.Errorf("depth %d: %d of 2000 events ran", depth, ran.Load())
		}
	}
}

// A trigger with one event is served next, however many another has waiting.
func TestPoolIsFairBetweenTriggers(t *testing.T) {
	gate, order := make(chan struct{}), make(chan string, 100)
	f := &fake{depth: 1, fn: func(_ *inst, ev *event.Event, _ *event.Response) error {
		<-gate
		order <- string(ev.Body)
		return nil
	}}
	p := open(t, f, Options{Size: 1})
	many, one := p.For(time.Minute, nil), p.For(time.Minute, nil)
	var wg sync.WaitGroup
	start := func(h trigger.Handler, body string, waiting int) {
		wg.Go(func() {
			if err := handle(h, body); err != nil {
				t.Errorf("handle: %v", err)
			}
		})
		for s := p.Stats(); s.Waiting+s.InFlight < waiting; s = p.Stats() {
			time.Sleep(time.Millisecond)
		}
	}
	for i := range 30 {
		start(many, "many", i+1)
	}
	start(one, "one", 31)
	close(gate)
	wg.Wait()
	for i := range 31 {
		if <-order == "one" {
			if i > 2 {
				t.Errorf("the single event came as number %d", i+1)
			}
			return
		}
	}
	t.Error("the single event was not served")
}

func TestPoolBusyAndStopping(t *testing.T) {
	gate := make(chan struct{})
	f := &fake{depth: 1, fn: func(*inst, *event.Event, *event.Response) error { <-gate; return nil }}
	p := open(t, f, Options{Size: 1})
	done := make(chan error)
	go func() { done <- handle(p.For(time.Minute, nil), "a") }()
	for p.Stats().InFlight == 0 {
		time.Sleep(time.Millisecond)
	}
	for _, wait := range []time.Duration{0, 5 * time.Millisecond} {
		if err := handle(p.For(wait, nil), "b"); !errors.Is(err, event.ErrBusy) {
			t.Errorf("wait %v: %v, want ErrBusy", wait, err)
		}
	}
	waiting := make(chan error)
	go func() { waiting <- handle(p.For(time.Minute, nil), "c") }()
	for p.Stats().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	p.Kill()
	if err := <-waiting; !errors.Is(err, event.ErrStopping) {
		t.Errorf("waiting event: %v, want ErrStopping", err)
	}
	close(gate)
	if err := <-done; err != nil {
		t.Errorf("running event: %v", err)
	}
}

// A deadline kills the worker that can be killed: the late event times out,
// one that had not begun runs elsewhere, and the pool is whole again.
func TestPoolKillsAtDeadline(t *testing.T) {
	f := &fake{depth: 2}
	f.fn = func(i *inst, ev *event.Event, _ *event.Response) error {
		if string(ev.Body) == "hang" {
			<-i.killed
			return event.ErrCrashed
		}
		if i.running.Load() > 1 { // behind the one that hangs
			<-i.killed
			return event.ErrNotRun
		}
		return nil
	}
	p := open(t, f, Options{Size: 1, EventTimeout: 50 * time.Millisecond})
	h := p.For(10*time.Second, nil)
	hung := make(chan error)
	go func() { hung <- handle(h, "hang") }()
	for p.Stats().InFlight == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := handle(h, "innocent"); err != nil {
		t.Errorf("innocent event: %v", err)
	}
	if err := <-hung; !errors.Is(err, event.ErrTimeout) || event.Abandoned(err) {
		t.Errorf("hung event: %v, want ErrTimeout", err)
	}
	if s := p.Stats(); s.Restarts != 1 || s.Live != 1 {
		t.Errorf("after repair: %+v", s)
	}
}

// A function that cannot be stopped keeps its event; the worker is replaced.
func TestPoolAbandonsNative(t *testing.T) {
	gate := make(chan struct{})
	f := &fake{fn: func(_ *inst, ev *event.Event, _ *event.Response) error {
		if string(ev.Body) == "hang" {
			<-gate
		}
		return nil
	}}
	p := open(t, f, Options{Size: 1, EventTimeout: 20 * time.Millisecond})
	h := p.For(10*time.Second, nil)
	if err := handle(h, "hang"); !errors.Is(err, event.ErrTimeout) || !event.Abandoned(err) {
		t.Errorf("hung event: %v, want an abandoned ErrTimeout", err)
	}
	if err := handle(h, "next"); err != nil {
		t.Errorf("next event: %v", err)
	}
	if s := p.Stats(); s.Abandoned != 1 || s.Live != 1 {
		t.Errorf("while it hangs: %+v", s)
	}
	close(gate)
	for p.Stats().Abandoned != 0 {
		time.Sleep(time.Millisecond)
	}
}

// An idle worker that breaks is replaced, again and again if it does not open.
func TestPoolReplacesBroken(t *testing.T) {
	f := &fake{depth: 1, fn: func(i *inst, ev *event.Event, _ *event.Response) error {
		if string(ev.Body) == "break" {
			close(i.broken)
		}
		return nil
	}}
	p := open(t, f, Options{Size: 1})
	h := p.For(10*time.Second, nil)
	f.refuse.Store(2)
	if err := handle(h, "break"); err != nil {
		t.Error(err)
	}
	for p.Stats().Restarts == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := handle(h, "after"); err != nil {
		t.Errorf("after repair: %v", err)
	}
	if n := f.opened.Load(); n != 2 {
		t.Errorf("opened %d, want 2", n)
	}
}

func TestPoolPanicOfRuntimeIsAnOutcome(t *testing.T) {
	f := &fake{depth: 1, fn: func(_ *inst, ev *event.Event, _ *event.Response) error {
		if string(ev.Body) == "panic" {
			panic("planted")
		}
		return nil
	}}
	p := open(t, f, Options{Size: 1})
	h := p.For(time.Second, nil)
	if err := handle(h, "panic"); !event.IsPermanent(err) {
		t.Errorf("panic: %v, want a permanent error", err)
	}
	if err := handle(h, "next"); err != nil {
		t.Errorf("the worker leaked: %v", err)
	}
}

func TestPoolOpenFailureClosesTheRest(t *testing.T) {
	f := &fake{depth: 1}
	f.refuse.Store(1)
	p := New(f, Options{Size: 3, Log: slog.New(slog.DiscardHandler)})
	if err := p.Open(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if s := p.Stats(); s.Live != 0 {
		t.Errorf("left alive: %+v", s)
	}
}

func TestPoolHandleDoesNotAllocate(t *testing.T) {
	for _, depth := range []int{0, 4} {
		f := &fake{depth: depth, fn: func(*inst, *event.Event, *event.Response) error { return nil }}
		p := open(t, f, Options{Size: 2})
		h, ev, resp := p.For(time.Second, nil), &event.Event{}, &event.Response{}
		n := testing.AllocsPerRun(1000, func() {
			if err := h.Handle(context.Background(), ev, resp); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("depth %d: %v allocations per event", depth, n)
		}
	}
}

func BenchmarkPool(b *testing.B) {
	f := &fake{fn: func(*inst, *event.Event, *event.Response) error { return nil }}
	p := New(f, Options{Size: 8, Log: slog.New(slog.DiscardHandler)})
	if err := p.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer p.Close(context.Background())
	h := p.For(time.Second, nil)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ev, resp := &event.Event{}, &event.Response{}
		for pb.Next() {
			if err := h.Handle(context.Background(), ev, resp); err != nil {
				b.Fatal(err)
			}
		}
	})
}
