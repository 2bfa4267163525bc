package stream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
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

// start runs a trigger on a log until stop is called.
func start(t *testing.T, l *memory.Log, s trigger.Settings, h trigger.HandlerFunc) (e *stream.Engine, stop func()) {
	t.Helper()
	s.Name = "in"
	e = l.Trigger(t, s).(*stream.Engine)
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

func numbers(from, to int) (rs []triggertest.Record) {
	for i := from; i < to; i++ {
		rs = append(rs, triggertest.Record{Key: fmt.Sprint("k", i%8), Body: fmt.Sprint(i)})
	}
	return rs
}

// A shard that has more than its bound is left out, and goes on; nothing is
// lost, and others are not held up.
func TestBackPressure(t *testing.T) {
	l := memory.NewLog(2)
	l.Options.Records = 30
	var ran atomic.Int64
	gate := make(chan struct{})
	l.Produce(t, numbers(0, 1000)...)
	e, _ := start(t, l, trigger.Settings{}, func(_ context.Context, ev *event.Event, _ *event.Response) error {
		if ev.Token.Shard == 0 {
			<-gate
		}
		ran.Add(1)
		return nil
	})
	until(t, "the other shard to be done, and the slow one to be left out", func() bool {
		r := e.Report()
		return len(r.Shards) == 2 && r.Shards[1].InFlight == 0 && r.Shards[1].Lag == 0 && r.Shards[0].Paused
	})
	if n := e.Report().Shards[0].InFlight; n > 30+l.Page {
		t.Errorf("the slow shard holds %d records", n)
	}
	close(gate)
	until(t, "all", func() bool { return ran.Load() == 1000 && e.Report().InFlight == 0 })
	if l.Pauses() == 0 {
		t.Error("nothing was paused")
	}
}

// A lane that is blocked blocks no other; the checkpoint waits for it.
func TestBlockedLane(t *testing.T) {
	l := memory.NewLog(1)
	l.Produce(t, numbers(0, 400)...)
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	var ran atomic.Int64
	spec := function.Trigger{Delivery: function.Delivery{WorkersPerShard: 16, CheckpointInterval: quantity.Duration(time.Millisecond)}}
	_, stop := start(t, l, trigger.Settings{Spec: spec}, func(_ context.Context, ev *event.Event, _ *event.Response) error {
		if string(ev.Body) == "1" {
			<-gate
		}
		ran.Add(1)
		return nil
	})
	defer open()
	until(t, "the other lanes", func() bool { return ran.Load() >= 200 })
	until(t, "the checkpoint", func() bool { return l.Committed() == 1 })
	open()
	until(t, "all", func() bool { return ran.Load() == 400 })
	stop()
	if n := l.Committed(); n != 400 {
		t.Errorf("checkpoint %d after the stop, want 400", n)
	}
}

// What is done in a lane counts while the next record of the lane takes its time.
func TestDoneBeforeASlowOne(t *testing.T) {
	l := memory.NewLog(1)
	l.Produce(t, numbers(0, 8)...)
	gate := make(chan struct{})
	spec := function.Trigger{Delivery: function.Delivery{CheckpointInterval: quantity.Duration(time.Millisecond)}}
	_, stop := start(t, l, trigger.Settings{Spec: spec}, func(_ context.Context, ev *event.Event, _ *event.Response) error {
		if string(ev.Body) == "5" {
			<-gate
		}
		return nil
	})
	defer stop()
	defer close(gate)
	until(t, "the checkpoint", func() bool { return l.Committed() == 5 })
}

// Answers travel in one transaction with the checkpoint: whatever is cut, each
// is in the output once.
func TestExactlyOnce(t *testing.T) {
	l := memory.NewLog(3)
	spec := function.Trigger{Delivery: function.Delivery{Guarantee: "exactlyOnce", WorkersPerShard: 3,
		CheckpointInterval: quantity.Duration(5 * time.Millisecond), OnSuccess: &function.Destination{Kind: "topic", Topic: "out"}}}
	var runs atomic.Int64
	h := func(_ context.Context, ev *event.Event, resp *event.Response) error {
		runs.Add(1)
		resp.Body = append(resp.Body, ev.Body...)
		return nil
	}
	_, stopA := start(t, l, trigger.Settings{Spec: spec}, h)
	_, stopB := start(t, l, trigger.Settings{Spec: spec}, h)
	const n = 2000
	for i := range 10 {
		l.Produce(t, numbers(i*n/10, (i+1)*n/10)...)
		until(t, "some", func() bool { return l.Committed() > int64(i*n/10) })
		l.Cut(t)
	}
	until(t, "all", func() bool { return l.Committed() == n })
	stopA()
	stopB()
	seen := map[string]int{}
	for _, o := range l.Out {
		seen[string(o.Body)]++
		if o.Topic != "out" {
			t.Fatalf("output to %q", o.Topic)
		}
	}
	if len(seen) != n || len(l.Out) != n {
		t.Errorf("%d outputs of %d events, want %d", len(l.Out), len(seen), n)
	}
	t.Logf("%d runs of %d events", runs.Load(), n)
}

// A sink that keeps the checkpoint is asked for it, and told of it.
func TestCheckpointsOfASink(t *testing.T) {
	l := memory.NewLog(1)
	l.Options.Restores = true
	s := &sink{next: 7}
	l.Produce(t, numbers(0, 20)...)
	var first atomic.Pointer[string]
	var e *stream.Engine
	started := make(chan struct{})
	e, stop := start(t, l, trigger.Settings{Checkpoints: s}, func(_ context.Context, ev *event.Event, _ *event.Response) error {
		<-started
		body := string(ev.Body)
		first.CompareAndSwap(nil, &body)
		if p, ok := e.Position(ev.Token); !ok || p.Next != ev.Token.Offset+1 || p.Epoch == 0 {
			t.Errorf("position %+v %v", p, ok)
		}
		return nil
	})
	close(started)
	until(t, "all", func() bool { return e.Report().Done == 13 })
	stop()
	if *first.Load() != "7" || s.next != 20 {
		t.Errorf("began at %s, the sink has %d", *first.Load(), s.next)
	}
	l.Options.Restores = false
	if _, err := stream.New(trigger.Settings{Checkpoints: s}, l.Options, nil); err == nil {
		t.Error("a source that cannot begin at a sink's checkpoint is taken")
	}
}

type sink struct{ next int64 }

func (s *sink) Load(context.Context, string, trigger.Place) (int64, bool, error) {
	return s.next, true, nil
}

func (s *sink) Store(_ context.Context, _ string, ps []trigger.Position) error {
	s.next = ps[0].Next
	return nil
}

func TestWrongSpec(t *testing.T) {
	for want, spec := range map[string]function.Trigger{
		"onSuccess": {Delivery: function.Delivery{Guarantee: "exactlyOnce"}},
		"startAt":   {Delivery: function.Delivery{StartAt: "soon"}},
		"guarantee": {Delivery: function.Delivery{Guarantee: "exactlyOnce", OnSuccess: &function.Destination{Kind: "topic", Topic: "x"}}},
		"reject":    {Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "broker"}}},
	} {
		_, err := stream.New(trigger.Settings{Spec: spec}, stream.Options{Kind: "memory"}, nil)
		if se := (*trigger.SpecError)(nil); !errors.As(err, &se) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// A source that is lost for good ends the trigger.
func TestLostForGood(t *testing.T) {
	gone := event.Permanent(errors.New("dropped"))
	e, err := stream.New(trigger.Settings{}, stream.Options{}, lost{gone})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context(), nil); !errors.Is(err, gone) {
		t.Errorf("Run: %v", err)
	}
}

type lost struct{ error }

func (l lost) Connect(context.Context, stream.Want, stream.Shards) (stream.Session, error) {
	return nil, l.error
}

// At a stop the lanes that are behind close the gap to those that are ahead:
// nothing runs again in the next processor.
func TestLanesCloseTheGap(t *testing.T) {
	l := memory.NewLog(1)
	l.Produce(t, numbers(0, 400)...)
	var runs atomic.Int64
	h := func(_ context.Context, ev *event.Event, _ *event.Response) error {
		if string(ev.Key) == "k3" {
			<-time.After(time.Millisecond)
		}
		runs.Add(1)
		return nil
	}
	spec := function.Trigger{Delivery: function.Delivery{WorkersPerShard: 8}}
	_, stop := start(t, l, trigger.Settings{Spec: spec}, h)
	until(t, "the lanes that are ahead", func() bool { return runs.Load() > 100 })
	stop()
	if n := l.Committed(); n != runs.Load() {
		t.Errorf("%d records ran, the checkpoint is %d", runs.Load(), n)
	}
	start(t, l, trigger.Settings{Spec: spec}, h)
	until(t, "the rest", func() bool { return l.Committed() == 400 })
	if n := runs.Load(); n != 400 {
		t.Errorf("%d runs of 400 records", n)
	}
}
