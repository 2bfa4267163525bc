package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// An event whose shard has moved is settled by who has it now, and by nobody
// else.
func TestSettleAfterAMove(t *testing.T) {
	log := NewLog(2)
	spec := function.Trigger{ExplicitAckMode: "explicitOnly", WaitExplicitAckDuringRebalanceTimeout: quantity.Duration(time.Millisecond)}
	spec.CheckpointInterval = quantity.Duration(time.Millisecond)
	type seen struct {
		sync.Mutex
		shards map[int32]int
	}
	begin := func() (trigger.PlaceSettler, *seen, func()) {
		s := &seen{shards: map[int32]int{}}
		trg := log.Trigger(t, trigger.Settings{Name: "in", Workers: 1, Spec: spec})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
				s.Lock()
				defer s.Unlock()
				s.shards[ev.Token.Shard]++
				return nil
			}))
		}()
		return trg.(trigger.PlaceSettler), s, func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	for n := range 20 { // so that both shards have some
		log.Produce(t, triggertest.Record{Key: fmt.Sprint(n), Body: fmt.Sprint(n)})
	}
	a, sa, stopA := begin()
	defer stopA()
	until("both shards run", func() bool { sa.Lock(); defer sa.Unlock(); return sa.shards[0] > 0 && sa.shards[1] > 0 })
	if err := a.SettleAt("memory", 9, 0, nil); !errors.Is(err, trigger.ErrMoved) {
		t.Errorf("a shard of nobody: %v", err)
	}
	b, sb, stopB := begin()
	defer stopB()
	until("b has a shard", func() bool { sb.Lock(); defer sb.Unlock(); return len(sb.shards) == 1 })
	for shard := range int32(2) {
		sb.Lock()
		mine, other := a, b
		if sb.shards[shard] > 0 {
			mine, other = b, a
		}
		sb.Unlock()
		if err := other.SettleAt("memory", shard, 0, nil); !errors.Is(err, trigger.ErrMoved) {
			t.Errorf("shard %d at the other: %v", shard, err)
		}
		if err := mine.SettleAt("memory", shard, 0, nil); err != nil {
			t.Errorf("shard %d: %v", shard, err)
		}
		if err := mine.SettleAt("", shard, 0, nil); !errors.Is(err, trigger.ErrNotOpen) {
			t.Errorf("shard %d again: %v", shard, err)
		}
	}
	until("two are done", func() bool { return log.Committed() == 2 })
}
