package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
	"github.com/myelin-run/myelin/trigger/triggertest/memory"
)

const patience = 2 * time.Minute

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// start runs an engine until stop is called.
func start(t testing.TB, s trigger.Settings, o queue.Options, src queue.Source, h trigger.Handler) (e *queue.Engine, stop func()) {
	t.Helper()
	s.Name = "in"
	e, err := queue.New(s, o, src)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

// line is a source of messages that a test writes, which notes what it is told.
type line struct {
	in    chan string
	reply bool // messages ask for an answer

	mu       sync.Mutex
	told     []string
	extended map[uint64]int
	most     int
	open     int
	tag      uint64
}

func newLine(bodies ...string) *line {
	l := &line{in: make(chan string, 1000), extended: map[uint64]int{}}
	for _, b := range bodies {
		l.in <- b
	}
	return l
}

func (l *line) Connect(context.Context, queue.Want) (queue.Session, error) { return l, nil }

func (l *line) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	select {
	case b := <-l.in:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.tag++
		l.open++
		l.most = max(l.most, l.open)
		ms[0].Event.Body, ms[0].Tag = []byte(b), l.tag
		return 1, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (l *line) tell(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, fmt.Sprintf(format, args...))
}

func (l *line) has(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.told, what)
}

func (l *line) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	l.tell("%s %v", m.Event.Body, v.Action)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	return nil
}

func (l *line) Wants(*queue.Message) bool { return l.reply }

func (l *line) Reply(_ context.Context, m *queue.Message, resp *event.Response, err error) error {
	if err != nil {
		l.tell("%s failed: %v", m.Event.Body, err)
		return nil
	}
	l.tell("%s answered %s", m.Event.Body, resp.Body)
	return nil
}

func (l *line) Extend(_ context.Context, m *queue.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extended[m.Tag]++
	return nil
}

func (l *line) Close(context.Context) error { return nil }

// What the broker can do with a rejected message is the default, and who asks
// for an answer gets one.
func TestRejectAndReply(t *testing.T) {
	l := newLine("good", "bad")
	l.reply = true
	start(t, trigger.Settings{}, queue.Options{Kind: "line", Rejects: true}, l, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Body) == "bad" {
			return event.Permanent(errors.New("never"))
		}
		resp.Body = append(resp.Body, "yes"...)
		return nil
	}))
	for _, what := range []string{"good answered yes", "good 0", "bad failed: never", "bad 2"} {
		until(t, what, func() bool { return l.has(what) })
	}
}

// Messages that are worked on for long are told of, until they are settled.
func TestExtend(t *testing.T) {
	l := newLine("long")
	_, stop := start(t, trigger.Settings{}, queue.Options{ExtendEvery: 2 * time.Millisecond}, l, trigger.HandlerFunc(func(context.Context, *event.Event, *event.Response) error {
		until(t, "five signs of life", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.extended[1] >= 5
		})
		return nil
	}))
	until(t, "the ack", func() bool { return l.has("long 0") })
	stop()
}

// No more messages are unsettled than the prefetch, no more in the handler than
// maxInFlight.
func TestLimits(t *testing.T) {
	l := newLine()
	for i := range 200 {
		l.in <- fmt.Sprint(i)
	}
	var now, most atomic.Int64
	spec := function.Trigger{Delivery: function.Delivery{Prefetch: 10, MaxInFlight: 3}}
	e, _ := start(t, trigger.Settings{Spec: spec}, queue.Options{}, l, trigger.HandlerFunc(func(context.Context, *event.Event, *event.Response) error {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		<-time.After(100 * time.Microsecond)
		return nil
	}))
	until(t, "all", func() bool { return e.Report().Done == 200 })
	if most.Load() > 3 || l.most > 10 {
		t.Errorf("%d in the handler and %d unsettled, want at most 3 and 10", most.Load(), l.most)
	}
}

// A message that was delivered again and again is given up after a while, though
// its processor never lived to count.
func TestDeliveredOften(t *testing.T) {
	q := memory.NewQueue(queue.Options{Requeues: true, Delays: true})
	q.Produce(t, triggertest.Record{Body: "x"})
	var runs atomic.Int64
	spec := function.Trigger{Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "drop"},
		Retry: &function.Retry{Attempts: 3, Backoff: &function.Backoff{Initial: quantity.Duration(time.Millisecond)}}}}
	e := q.Trigger(t, trigger.Settings{Name: "in", Spec: spec}).(*queue.Engine)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- e.Run(ctx, trigger.HandlerFunc(func(context.Context, *event.Event, *event.Response) error {
			runs.Add(1)
			return errors.New("no")
		}))
	}()
	until(t, "the end of the attempts", func() bool { return e.Report().Dropped == 1 })
	cancel()
	if err := <-done; err != nil || runs.Load() != 3 {
		t.Errorf("%d runs, %v", runs.Load(), err)
	}
}

// Events that were done before are left out, also by a name in a header.
func TestDeduplicate(t *testing.T) {
	q := memory.NewQueue(queue.Options{Requeues: true})
	for i := range 20 {
		q.Produce(t, triggertest.Record{Body: fmt.Sprint(i), Headers: map[string]string{"name": fmt.Sprint(i % 5)}})
	}
	s := &seen{ids: map[string]bool{}}
	spec := function.Trigger{Delivery: function.Delivery{MaxInFlight: 1, Deduplicate: &function.Deduplicate{Header: "name"}}}
	e := q.Trigger(t, trigger.Settings{Name: "in", Spec: spec, Seen: s}).(*queue.Engine)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- e.Run(ctx, trigger.HandlerFunc(func(context.Context, *event.Event, *event.Response) error { return nil }))
	}()
	until(t, "all", func() bool { r := e.Report(); return r.Done+r.Skipped == 20 })
	if r := e.Report(); r.Done != 5 {
		t.Errorf("%d ran, want 5", r.Done)
	}
	cancel()
	<-done
}

type seen struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (s *seen) Has(_ context.Context, _ string, id []byte, _ time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[string(id)], nil
}

func (s *seen) Mark(_ context.Context, _ string, id []byte, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[string(id)] = true
	return nil
}

// fast is a source that never waits and never allocates.
type fast struct {
	limit atomic.Int64
	next  int64
	more  chan struct{}
	body  [100]byte
}

func (f *fast) Connect(context.Context, queue.Want) (queue.Session, error) { return f, nil }

func (f *fast) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	for f.next >= f.limit.Load() {
		select {
		case <-f.more:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	n := 0
	for n < len(ms) && f.next < f.limit.Load() {
		ms[n].Event.Body, ms[n].Tag = f.body[:], uint64(f.next)
		f.next++
		n++
	}
	return n, nil
}

func (f *fast) Settle(context.Context, *queue.Message, queue.Verdict) error { return nil }
func (f *fast) Close(context.Context) error                                 { return nil }

func flow(t testing.TB, spec function.Trigger) (through func(n int)) {
	f := &fast{more: make(chan struct{}, 1)}
	c := &counting{done: make(chan struct{}, 1)}
	start(t, trigger.Settings{Spec: spec, Workers: 2}, queue.Options{Prefetch: 512}, f, c)
	return func(n int) {
		c.want.Add(int64(n))
		f.limit.Add(int64(n))
		f.more <- struct{}{}
		<-c.done
	}
}

type counting struct {
	n, want atomic.Int64
	done    chan struct{}
}

func (c *counting) add(n int) {
	if c.n.Add(int64(n)) == c.want.Load() {
		c.done <- struct{}{}
	}
}

func (c *counting) Handle(context.Context, *event.Event, *event.Response) error {
	c.add(1)
	return nil
}

func (c *counting) HandleBatch(_ context.Context, evs []*event.Event, _ []*event.Response, errs []error) {
	clear(errs)
	c.add(len(evs))
}

var specs = map[string]function.Trigger{
	"alone":   {},
	"batches": {Batch: &function.Batch{Mode: "enable", BatchSize: 50, Timeout: quantity.Duration(time.Millisecond)}},
}

// A message costs the engine no memory.
func TestMessagesDoNotAllocate(t *testing.T) {
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			through := flow(t, spec)
			through(10_000)
			if n := testing.AllocsPerRun(20, func() { through(10_000) }) / 10_000; n > 0.01 {
				t.Errorf("%.3f allocations for each message", n)
			}
		})
	}
}

func BenchmarkQueue(b *testing.B) {
	for name, spec := range specs {
		b.Run(name, func(b *testing.B) {
			through := flow(b, spec)
			through(10_000)
			b.ReportAllocs()
			b.ResetTimer()
			through(b.N)
		})
	}
}
