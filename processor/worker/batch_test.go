package worker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// lister is a runtime whose function takes lists.
type lister struct {
	most   int
	killer bool
	fn     func(l *listed, evs []*event.Event, resps []*event.Response, errs []error)
	opened atomic.Int32
	calls  atomic.Int32
}

func (r *lister) Open(context.Context, runtime.Worker) (runtime.Instance, error) {
	r.opened.Add(1)
	l := &listed{lister: r, killed: make(chan struct{})}
	if !r.killer {
		return struct {
			runtime.Instance
			runtime.Batcher
		}{l, l}, nil
	}
	return l, nil
}

type listed struct {
	*lister
	once   sync.Once
	killed chan struct{}
}

func (l *listed) Invoke(context.Context, *event.Event, *event.Response) error {
	return errors.New("an event by itself")
}
func (l *listed) Close(context.Context) error { return nil }
func (l *listed) Kill() error                 { l.once.Do(func() { close(l.killed) }); return nil }
func (l *listed) MaxBatch() int               { return l.most }

func (l *listed) InvokeBatch(_ context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	l.calls.Add(1)
	select {
	case <-l.killed:
		return
	default:
	}
	l.fn(l, evs, resps, errs)
}

// echoList answers the events that are to be run, and notes how many.
func echoList(_ *listed, evs []*event.Event, resps []*event.Response, errs []error) {
	for i, ev := range evs {
		if errors.Is(errs[i], event.ErrNotRun) {
			resps[i].Body, errs[i] = append(resps[i].Body, ev.Body...), nil
		}
	}
}

func openList(t *testing.T, r runtime.Runtime, o Options) *Pool {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	p := New(r, o)
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

// list is what a caller of HandleBatch has.
type list struct {
	evs   []*event.Event
	resps []*event.Response
	errs  []error
}

func newList(bodies ...string) *list {
	l := &list{errs: make([]error, len(bodies))}
	for _, b := range bodies {
		l.evs, l.resps = append(l.evs, &event.Event{Body: []byte(b)}), append(l.resps, &event.Response{})
	}
	return l
}

func (l *list) handle(h trigger.Handler) {
	h.(trigger.BatchHandler).HandleBatch(context.Background(), l.evs, l.resps, l.errs)
}

func (l *list) echoed(t *testing.T) {
	t.Helper()
	for i := range l.evs {
		if l.errs[i] != nil || string(l.resps[i].Body) != string(l.evs[i].Body) {
			t.Errorf("event %d: %q, %v", i, l.resps[i].Body, l.errs[i])
		}
	}
}

// letters is as many one-letter bodies.
func letters(n int) []string {
	return strings.Split(strings.Repeat("abcdefghij", n/10+1)[:n], "")
}

// A list is as few calls as the size of a batch and the instance allow.
func TestBatchIsOneCall(t *testing.T) {
	for _, c := range []struct{ size, most, calls int }{{10, 100, 3}, {100, 100, 1}, {100, 7, 4}} {
		r := &lister{most: c.most, fn: echoList}
		p := openList(t, r, Options{Size: 2})
		if !p.Batches() {
			t.Error("takes no batches")
		}
		l := newList(letters(25)...)
		l.handle(p.ForBatches(time.Second, nil, Batching{Size: c.size}))
		l.echoed(t)
		if n := int(r.calls.Load()); n != c.calls {
			t.Errorf("size %d, most %d: %d calls, want %d", c.size, c.most, n, c.calls)
		}
		if s := p.Stats(); s.Busy != 0 || s.InFlight != 0 {
			t.Errorf("at rest: %+v", s)
		}
	}
}

// apartList is a worker whose function runs elsewhere.
type apartList struct{ *listed }

func (apartList) Apart() {}

type apartLister struct{ *lister }

func (r apartLister) Open(context.Context, runtime.Worker) (runtime.Instance, error) {
	return apartList{&listed{lister: r.lister, killed: make(chan struct{})}}, nil
}

// Only a pool whose functions get copies of events lets its triggers lend the
// originals.
func TestSealedPool(t *testing.T) {
	l := &lister{most: 1, fn: echoList}
	for _, c := range []struct {
		rt   runtime.Runtime
		want bool
	}{{l, false}, {apartLister{l}, true}} {
		h := openList(t, c.rt, Options{}).ForBatches(time.Second, nil, Batching{Size: 1})
		if got := h.(trigger.Sealer).Sealed(); got != c.want {
			t.Errorf("%T: sealed %v", c.rt, got)
		}
	}
}

// What a lost worker had not begun runs in another; what it had begun crashed.
func TestBatchOfLostWorker(t *testing.T) {
	var lost atomic.Bool
	r := &lister{most: 100, killer: true}
	r.fn = func(l *listed, evs []*event.Event, resps []*event.Response, errs []error) {
		if lost.CompareAndSwap(false, true) {
			resps[0].Body, errs[0] = append(resps[0].Body, evs[0].Body...), nil
			errs[1] = event.ErrCrashed
			errs[2] = event.ErrRecalled
			return
		}
		echoList(l, evs, resps, errs)
	}
	p := openList(t, r, Options{Size: 1})
	l := newList(letters(5)...)
	l.handle(p.ForBatches(time.Minute, nil, Batching{Size: 10}))
	if !errors.Is(l.errs[1], event.ErrCrashed) {
		t.Errorf("the one that crashed: %v", l.errs[1])
	}
	l.evs, l.resps, l.errs = slices.Delete(l.evs, 1, 2), slices.Delete(l.resps, 1, 2), slices.Delete(l.errs, 1, 2)
	l.echoed(t)
	if s := p.Stats(); s.Restarts != 1 {
		t.Errorf("after the loss: %+v", s)
	}
}

// The deadline is that of the call. A worker that can be killed is; a function
// that cannot be stopped keeps all of the batch.
func TestBatchDeadline(t *testing.T) {
	gate := make(chan struct{})
	for _, killer := range []bool{true, false} {
		r := &lister{most: 100, killer: killer}
		r.fn = func(l *listed, evs []*event.Event, resps []*event.Response, errs []error) {
			if string(evs[0].Body) != "hang" {
				echoList(l, evs, resps, errs)
				return
			}
			select {
			case <-l.killed:
			case <-gate:
			}
			for i := range errs {
				errs[i] = event.ErrCrashed
			}
		}
		p := openList(t, r, Options{Size: 1, EventTimeout: 20 * time.Millisecond})
		h := p.ForBatches(time.Minute, nil, Batching{Size: 10})
		l := newList("hang", "b", "c")
		l.handle(h)
		for i, err := range l.errs {
			if !errors.Is(err, event.ErrTimeout) || event.Abandoned(err) == killer {
				t.Errorf("killer %v: event %d: %v", killer, i, err)
			}
		}
		l = newList("after", "it")
		l.handle(h)
		l.echoed(t)
		if !killer {
			close(gate)
			for p.Stats().Abandoned != 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
}

func TestBatchBusyAndPanic(t *testing.T) {
	gate, begun := make(chan struct{}), make(chan struct{})
	r := &lister{most: 100}
	r.fn = func(l *listed, evs []*event.Event, resps []*event.Response, errs []error) {
		switch string(evs[0].Body) {
		case "wait":
			close(begun)
			<-gate
		case "panic":
			panic("planted")
		}
		echoList(l, evs, resps, errs)
	}
	p := openList(t, r, Options{Size: 1})
	h := p.ForBatches(0, nil, Batching{Size: 10})
	first := newList("wait")
	var wg sync.WaitGroup
	wg.Go(func() { first.handle(h) })
	<-begun
	l := newList("a", "b")
	l.handle(h)
	for i, err := range l.errs {
		if !errors.Is(err, event.ErrBusy) {
			t.Errorf("event %d with no worker free: %v", i, err)
		}
	}
	close(gate)
	wg.Wait()
	first.echoed(t)
	l = newList("panic", "b")
	l.handle(h)
	if !event.IsPermanent(l.errs[0]) || !event.IsPermanent(l.errs[1]) {
		t.Errorf("panic: %v", l.errs)
	}
	l = newList("after")
	l.handle(h)
	l.echoed(t)
}

// Events that come one by one become lists: of full size, or of what has come
// when the first has waited long enough. Each caller gets its own answer.
func TestGather(t *testing.T) {
	var most atomic.Int32
	r := &lister{most: 100}
	r.fn = func(l *listed, evs []*event.Event, resps []*event.Response, errs []error) {
		most.Store(max(most.Load(), int32(len(evs))))
		echoList(l, evs, resps, errs)
	}
	p := openList(t, r, Options{Size: 2})
	h := p.ForBatches(time.Minute, nil, Batching{Size: 8, Wait: 10 * time.Millisecond})
	var wg sync.WaitGroup
	for g := range 20 {
		wg.Go(func() {
			ev, resp := &event.Event{Body: []byte(letters(20)[g])}, &event.Response{}
			for range 100 {
				resp.Reset()
				if err := h.Handle(context.Background(), ev, resp); err != nil || string(resp.Body) != string(ev.Body) {
					t.Errorf("caller %d: %q, %v", g, resp.Body, err)
				}
			}
		})
	}
	wg.Wait()
	if n := r.calls.Load(); n >= 1000 || most.Load() != 8 {
		t.Errorf("2000 events in %d calls of %d at most", n, most.Load())
	}
	if err := handle(h, "alone"); err != nil {
		t.Error(err)
	}
}

// Who gives up before the list is full has not been run, and is missed by
// nobody.
func TestGatherIsLeft(t *testing.T) {
	var got atomic.Int32
	r := &lister{most: 100}
	r.fn = func(l *listed, evs []*event.Event, resps []*event.Response, errs []error) {
		got.Store(int32(len(evs)))
		echoList(l, evs, resps, errs)
	}
	p := openList(t, r, Options{Size: 1})
	h := p.ForBatches(time.Minute, nil, Batching{Size: 3, Wait: time.Hour})
	g := h.(*handler).gather
	joined := func(n int) {
		for {
			g.mu.Lock()
			have := 0
			if g.open != nil {
				have = len(g.open.evs)
			}
			g.mu.Unlock()
			if have == n {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	for round := range 2 {
		ctx, cancel := context.WithCancel(context.Background())
		left := make(chan error, 1)
		go func() { left <- h.Handle(ctx, &event.Event{Body: []byte("leaves")}, &event.Response{}) }()
		joined(1)
		var wg sync.WaitGroup
		if round == 1 {
			wg.Go(func() { _ = handle(h, "a") })
			joined(2)
		}
		cancel()
		if err := <-left; !errors.Is(err, event.ErrBusy) {
			t.Errorf("who left: %v", err)
		}
		joined(round)
		for range 3 - round {
			wg.Go(func() {
				if err := handle(h, "b"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := got.Load(); n != 3 {
			t.Errorf("round %d: a list of %d", round, n)
		}
	}
}

func TestBatchDoesNotAllocate(t *testing.T) {
	r := &lister{most: 100, fn: echoList}
	f := &fake{fn: func(*inst, *event.Event, *event.Response) error { return nil }}
	for name, h := range map[string]trigger.Handler{
		"one call":  openList(t, r, Options{Size: 2}).ForBatches(time.Second, nil, Batching{Size: 10}),
		"each call": openList(t, f, Options{Size: 2}).For(time.Second, nil),
	} {
		l := newList(letters(10)...)
		if n := testing.AllocsPerRun(500, func() {
			for _, resp := range l.resps {
				resp.Reset()
			}
			l.handle(h)
		}); n != 0 {
			t.Errorf("%s: %v allocations for ten events", name, n)
		}
	}
}
