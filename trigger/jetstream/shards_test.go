package jetstream

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/dealing"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// suiteShards is how many there are in tests.
const suiteShards = 6

// TestStreamSuite: shards that the dealer deals are a stream as any other.
func TestStreamSuite(t *testing.T) {
	server, d := shared.NATS(t), dealing.Start(t, 3*time.Second)
	triggertest.StreamSuite(t, triggertest.Guarantees{NoKeys: true, New: func(t testing.TB) triggertest.Broker {
		return newSharded(t, server, d)
	}})
}

// sharded is a stream in shards that a dealer deals.
type sharded struct {
	*broker
	dealer *dealing.Dealer
}

func newSharded(t testing.TB, s *servers.Server, d *dealing.Dealer) *sharded {
	b := newBroker(t, s, nil)
	b.attributes["shards"], b.attributes["topics"] = suiteShards, []string{b.stream + ".{shard}.>"}
	return &sharded{broker: b, dealer: d}
}

// Trigger implements [triggertest.Broker]: each is another processor.
func (b *sharded) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	s.Namespace, s.Shards = b.stream, b.dealer.Assigner() // a table for each check
	return b.trigger(t, s, map[string]any{"stream": b.stream})
}

// Produce implements [triggertest.Broker].
func (b *sharded) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	for _, r := range rs {
		h := fnv.New32a()
		_, _ = h.Write([]byte(r.Key))
		m := nats.NewMsg(fmt.Sprintf("%s.%d.k%s", b.stream, h.Sum32()%suiteShards, r.Key))
		m.Data = []byte(r.Body)
		for k, v := range r.Headers {
			m.Header.Set(k, v)
		}
		_, err := b.js.PublishMsg(limit(t), m)
		must(t, err)
	}
}

// Broken implements [triggertest.Breaker].
func (b *sharded) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	absent := fresh()
	s.Shards = b.dealer.Assigner()
	locked := newSharded(t, servers.NATS(t, servers.Login("ann", "secret")), b.dealer)
	wrong := s
	wrong.Spec.Username, wrong.Spec.Password = "ann", quantity.Secret("no")
	return map[string]triggertest.Broken{
		"password": {Trigger: locked.trigger(t, wrong, map[string]any{"stream": locked.stream}), Says: `user "ann" or its password is refused`},
		"stream": {
			Trigger: b.trigger(t, s, map[string]any{"stream": absent}),
			Mend:    func() { b.makeStream(t, absent) },
			Says:    fmt.Sprintf("stream %q is not there", absent),
		},
	}
}

func (b *sharded) run(t *testing.T, by trigger.Assigner, then func(*event.Event, *event.Response) error) *running {
	t.Helper()
	s := settings(t, function.Trigger{})
	s.Spec.CheckpointInterval = quantity.Duration(20 * time.Millisecond)
	s.Function, s.Shards = b.stream, by
	return run(t, b.trigger(t, s, map[string]any{"stream": b.stream}), then)
}

func (b *sharded) kept(t *testing.T, shard int) (c checkpoint) {
	t.Helper()
	kv, err := b.js.KeyValue(limit(t), "myelin-checkpoints")
	must(t, err)
	e, err := kv.Get(limit(t), fmt.Sprintf("%s.%s-in.%d", b.stream, b.stream, shard))
	must(t, err)
	must(t, json.Unmarshal(e.Value(), &c))
	return c
}

func (b *sharded) publish(t *testing.T, shard int) uint64 {
	t.Helper()
	ack, err := b.js.Publish(limit(t), fmt.Sprintf("%s.%d.k", b.stream, shard), []byte("x"))
	must(t, err)
	return ack.Sequence
}

// TestZombie: a processor that works on under an old epoch cannot store a
// checkpoint, and lets go when it learns of that.
func TestZombie(t *testing.T) {
	b := newSharded(t, shared.NATS(t), nil)
	seq := b.publish(t, 3)
	gate := make(chan struct{})
	old := b.run(t, dealing.Zombie{Epoch: 6}, func(*event.Event, *event.Response) error { <-gate; return nil })
	old.until("the event to run", func(r trigger.Report) bool { return r.InFlight == 1 })
	b.run(t, dealing.Zombie{Epoch: 7}, nil).next()
	for end := time.Now().Add(patience); b.kept(t, 3).Next != seq+1; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the checkpoint is %+v", b.kept(t, 3))
		}
	}
	close(gate)
	old.until("the shard to be let go", func(r trigger.Report) bool {
		for _, sh := range r.Shards {
			if sh.Shard == 3 {
				return false
			}
		}
		return true
	})
	if c := b.kept(t, 3); c.Epoch != 7 {
		t.Errorf("the checkpoint is %+v", c)
	}
	late := b.run(t, dealing.Zombie{Epoch: 6}, nil)
	late.until("a session", func(r trigger.Report) bool { return r.State == trigger.Running })
	if r := late.report(); len(r.Shards) != 0 {
		t.Errorf("an old epoch has shards: %+v", r.Shards)
	}
}

// TestConsumerOfShardIsLost: a consumer that the server has lost is made anew
// behind the last message that came.
func TestConsumerOfShardIsLost(t *testing.T) {
	b := newSharded(t, shared.NATS(t), nil)
	r := b.run(t, dealing.Zombie{Epoch: 1}, nil)
	b.publish(t, 2)
	r.next()
	log, err := b.js.Stream(limit(t), b.stream)
	must(t, err)
	for name := range log.ConsumerNames(limit(t)).Name() {
		must(t, log.DeleteConsumer(limit(t), name))
	}
	want := b.publish(t, 2)
	if ev := r.next(); string(ev.ID) != fmt.Sprint(b.stream, ":", want) {
		t.Errorf("after the loss came %s, want %d", ev.ID, want)
	}
}

// TestShardsBegin: a shard without a checkpoint begins where startAt says.
func TestShardsBegin(t *testing.T) {
	b := newSharded(t, shared.NATS(t), nil)
	b.publish(t, 1)
	second := b.publish(t, 1)
	third := b.publish(t, 1)
	log, err := b.js.Stream(limit(t), b.stream)
	must(t, err)
	m, err := log.GetMsg(limit(t), third)
	must(t, err)
	for at, want := range map[string]uint64{"earliest": second - 1, fmt.Sprint(second): second, m.Time.UTC().Format(time.RFC3339Nano): third} {
		s := settings(t, function.Trigger{})
		s.Spec.StartAt = at
		s.Function, s.Shards = b.stream, dealing.Zombie{Epoch: 1}
		r := run(t, b.trigger(t, s, map[string]any{"stream": b.stream, "consumer": fresh()}), nil)
		if ev := r.next(); string(ev.ID) != fmt.Sprint(b.stream, ":", want) {
			t.Errorf("from %s came %s, want %d", at, ev.ID, want)
		}
		r.end()
	}
}

// TestShardsOfSpec: what shards exclude is told.
func TestShardsOfSpec(t *testing.T) {
	for text, want := range map[string]string{
		`{"stream": "s", "shards": 4}`:                                                           "topics: is required where there are shards",
		`{"stream": "s", "shards": 4, "topics": ["a.>"]}`:                                        `topics[0]: "a.>" has 0 tokens {shard}`,
		`{"stream": "s", "shards": 4, "topics": ["a.x{shard}"]}`:                                 `has 0 tokens {shard}`,
		`{"shards": 4, "topics": ["a.{shard}"]}`:                                                 "stream: is required where there are shards",
		`{"stream": "s", "shards": 20000, "topics": ["a.{shard}"]}`:                              "shards: is 20000",
		`{"stream": "s", "assignment": "all"}`:                                                   "assignment: is of shards",
		`{"stream": "s", "shards": 4, "topics": ["a.{shard}"], "assignment": "me"}`:              "assignment: is",
		`{"stream": "s", "shards": 4, "topics": ["a.{shard}"], "ordered": true}`:                 "ordered: is of a consumer",
		`{"stream": "s", "shards": 4, "topics": ["a.{shard}.>"], "assignment": "all"}`:           "",
		`{"stream": "s", "shards": 24, "topics": ["a.{shard}", "b.{shard}.*"], "ackWait": "5s"}`: "",
	} {
		s := settings(t, function.Trigger{URL: "nats://localhost"})
		_, err := Factory().New(s, json.RawMessage(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
