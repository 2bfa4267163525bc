package triggertest

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// PollSuite is what every trigger passes that asks its source what is new and
// remembers how far it has read: a stream of one shard, which one processor at a
// time reads.
func PollSuite(t *testing.T, g Guarantees) {
	g.run(t, map[string]func(*bench){
		"OrderPerShard": orderPerShard, "OrderPerKeyInLanes": orderInLanes, "NotPassedOverByOne": notPassedOverByOne, "Handover": handover,
		"Seek": seekAgain, "StandsStill": standsStill, "Restarts": restarts,
	})
}

// notPassedOverByOne: a failed event is not passed over by the successes behind
// it, and a successor runs it.
func notPassedOverByOne(b *bench) {
	spec := function.Trigger{Delivery: function.Delivery{WorkersPerShard: 4, CheckpointInterval: 1e6, Retry: &function.Retry{Attempts: -1}}}
	c := b.start(spec, b.seeing(0, func(ev *event.Event) error {
		if string(ev.Body) == "3" {
			return errors.New("always")
		}
		return nil
	}))
	b.produce(0, 100)
	b.until("the failed one to run again", func() bool { return b.counts()["3"] > 2 })
	c.end()
	before := b.counts()["3"]
	d := b.start(spec, b.seeing(1, nil))
	b.until("the failed one to come again", func() bool { return b.counts()["3"] > before })
	b.all(0, 100)
	d.end()
}

// handover: one processor reads, and another takes over when it stops; nothing is
// lost, and nothing runs twice.
func handover(b *bench) {
	has := func(who int) bool {
		return slices.ContainsFunc(b.sightings(), func(s sighting) bool { return s.who == who })
	}
	first := b.start(function.Trigger{}, b.seeing(0, nil))
	b.produce(0, 50)
	b.until("the first to have some", func() bool { return has(0) })
	var second *consumer
	if !b.g.Sole {
		second = b.start(function.Trigger{}, b.seeing(1, nil))
	}
	b.produce(50, 100)
	first.end()
	if b.g.Sole {
		second = b.start(function.Trigger{}, b.seeing(1, nil))
	}
	b.produce(100, 150)
	b.all(0, 150)
	second.end()
	b.once()
	if !has(1) {
		b.t.Error("the second ran nothing")
	}
	b.ordered(func(sighting) string { return "all" })
}

// standsStill: with onFailure stop, reading stands still at the event and says so,
// until another begins there.
func standsStill(b *bench) {
	spec := function.Trigger{Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "stop"}}}
	c := b.start(spec, b.seeing(0, func(ev *event.Event) error {
		if string(ev.Body) == "10" {
			return event.Permanent(errors.New("never"))
		}
		return nil
	}))
	b.produce(0, 30)
	b.until("it to say that it stands still", func() bool {
		return slices.ContainsFunc(c.report().Shards, func(s trigger.ShardReport) bool { return s.Problem != "" })
	})
	c.end()
	for body := range b.counts() {
		if n, _ := strconv.Atoi(body); n > 10 {
			b.t.Errorf("event %d ran though reading stands still at 10", n)
		}
	}
	d := b.start(function.Trigger{}, b.seeing(1, nil))
	b.all(0, 30)
	d.end()
}

// restarts: a trigger that is stopped and started many times, in the middle of
// pages, runs each event once.
func restarts(b *bench) {
	const n = 200
	b.produce(0, n)
	for i := 0; len(b.counts()) < n && i < n; i++ {
		before := len(b.counts())
		c := b.start(function.Trigger{}, b.seeing(i, nil))
		b.until("another event", func() bool { return len(b.counts()) > before })
		c.end()
	}
	b.all(0, n)
	b.once()
}
