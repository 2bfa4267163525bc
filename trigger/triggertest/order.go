package triggertest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// ordered fails unless the first runs of the events of each group came in the
// order they were produced in, and no event ran before one that came before it
// was done.
func (b *bench) ordered(group func(sighting) string) {
	b.t.Helper()
	last := map[string]int{}
	seen := map[string]bool{}
	for _, s := range b.sightings() {
		n, _ := strconv.Atoi(s.body)
		if seen[s.body] {
			continue
		}
		seen[s.body] = true
		g := group(s)
		if before, ok := last[g]; ok && n < before {
			b.t.Errorf("event %d of %s ran after event %d", n, g, before)
		}
		last[g] = n
	}
}

// orderPerShard: without lanes the records of a shard run one after another.
func orderPerShard(b *bench) {
	var inside [64]atomic.Int32
	c := b.start(function.Trigger{}, b.seeing(0, func(ev *event.Event) error {
		if inside[ev.Token.Shard%64].Add(1) != 1 {
			b.t.Errorf("two events of shard %d at once", ev.Token.Shard)
		}
		defer inside[ev.Token.Shard%64].Add(-1)
		if n, _ := strconv.Atoi(string(ev.Body)); n%40 == 0 && b.counts()[string(ev.Body)] == 1 {
			return errors.New("once")
		}
		return nil
	}))
	b.produce(0, 200)
	b.until("all to be done", func() bool { return c.report().Done == 200 })
	c.end()
	b.ordered(func(s sighting) string { return fmt.Sprint("shard ", s.shard) })
}

// orderInLanes: with lanes the records of a key run one after another, and those
// of others beside.
func orderInLanes(b *bench) {
	var most, now atomic.Int32
	c := b.start(function.Trigger{Delivery: function.Delivery{WorkersPerShard: 4}}, b.seeing(0, func(ev *event.Event) error {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		n, _ := strconv.Atoi(string(ev.Body))
		if n%7 == 0 {
			<-time.After(2 * time.Millisecond)
		}
		if n%40 == 0 && b.counts()[string(ev.Body)] == 1 {
			return errors.New("once")
		}
		return nil
	}))
	b.produce(0, 400)
	b.until("all to be done", func() bool { return c.report().Done == 400 })
	c.end()
	b.ordered(func(s sighting) string { return s.key })
}

// notPassedOver: a failed event is not passed over by later successes, whatever
// the checkpoints: a successor runs it.
func notPassedOver(b *bench) {
	spec := function.Trigger{Delivery: function.Delivery{WorkersPerShard: 4, CheckpointInterval: 1e6, Retry: &function.Retry{Attempts: -1}}}
	c := b.start(spec, b.seeing(0, func(ev *event.Event) error {
		if string(ev.Body) == "3" {
			return errors.New("always")
		}
		return nil
	}))
	b.produce(0, 100)
	b.until("the others of its shard", func() bool { return c.report().Done > 50 && b.counts()["3"] > 2 })
	c.end()
	before := b.counts()["3"]
	d := b.start(spec, b.seeing(1, nil))
	b.until("the failed one to come again", func() bool { return b.counts()["3"] > before })
	b.all(0, 100)
	d.end()
}

// rebalance: processors come and go under load; nothing is lost, shards keep
// their order, and what moved in an orderly way ran once.
func rebalance(b *bench) {
	if again := b.rebalance(1); again > 0 {
		b.t.Errorf("%d runs more than events, though all moves were orderly", again)
	}
	b.ordered(func(s sighting) string { return fmt.Sprint("shard ", s.shard) })
}

// rebalanceLanes: with lanes, what was done behind a record that was not yet
// begun when its shard moved runs again, and keys keep their order.
func rebalanceLanes(b *bench) {
	b.t.Logf("%d runs more than events", b.rebalance(2))
	b.ordered(func(s sighting) string { return s.key })
}

// rebalance returns by how many there are more runs than events.
func (b *bench) rebalance(lanes int) int {
	n := 0
	slow := func(*event.Event) error { <-time.After(time.Millisecond); return nil }
	spec := function.Trigger{Delivery: function.Delivery{WorkersPerShard: lanes}}
	load := func(what string, ok func() bool) { // there is always something to run
		b.until(what, func() bool {
			if len(b.counts()) > n-200 {
				b.produce(n, n+200)
				n += 200
			}
			return ok()
		})
	}
	has := func(who int) func() bool {
		return func() bool {
			return slices.ContainsFunc(b.sightings(), func(s sighting) bool { return s.who == who })
		}
	}
	first := b.start(spec, b.seeing(0, slow))
	load("a few", func() bool { return len(b.counts()) > 20 })
	second := b.start(spec, b.seeing(1, slow))
	load("the second to have some", has(1))
	first.end()
	third := b.start(spec, b.seeing(2, slow))
	load("the third to have some", has(2))
	b.all(0, n)
	second.end()
	third.end()
	return len(b.sightings()) - n
}

// seekAgain: after Seek the records come again from there.
func seekAgain(b *bench) {
	c := b.start(function.Trigger{}, b.seeing(0, nil))
	s, ok := c.Trigger.(trigger.Seeker)
	if !ok {
		b.t.Fatal("the trigger is no Seeker")
	}
	b.produce(0, 40)
	b.until("all to be done", func() bool { return c.report().Done == 40 })
	if err := s.Seek(b.t.Context(), "somewhere"); err == nil {
		b.t.Error("sought a place that is none")
	}
	if err := s.Seek(b.t.Context(), "earliest"); err != nil {
		b.t.Fatal(err)
	}
	if b.g.Once {
		b.produce(40, 60)
		b.all(0, 60)
		c.end()
		b.once()
		return
	}
	b.until("all to come again", func() bool {
		for _, n := range b.counts() {
			if n != 2 {
				return false
			}
		}
		return true
	})
	c.end()
}

// stopAtFailure: with onFailure stop, the shard stands still at the event and
// says so; the other shards go on.
func stopAtFailure(b *bench) {
	spec := function.Trigger{Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "stop"}}}
	c := b.start(spec, b.seeing(0, func(ev *event.Event) error {
		if string(ev.Body) == "0" {
			return event.Permanent(errors.New("never"))
		}
		return nil
	}))
	b.produce(0, 100)
	stands := func() bool {
		for _, s := range c.report().Shards {
			if s.Problem != "" {
				return true
			}
		}
		return false
	}
	b.until("the shard to say that it stands still", stands)
	b.until("the other shards", func() bool { return c.report().Done > 10 })
	c.end()
	shards := map[string]int32{}
	for _, s := range b.sightings() {
		shards[s.body] = s.shard
	}
	for body, shard := range shards {
		if shard == shards["0"] && body != "0" {
			b.t.Errorf("event %s of the shard that stands still ran", body)
		}
	}
	d := b.start(function.Trigger{}, b.seeing(1, nil))
	b.all(0, 100)
	d.end()
}
