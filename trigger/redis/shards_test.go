package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/dealing"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// suiteShards is how many there are in tests.
const suiteShards = 6

// TestStreamSuite: shards that the dealer deals are a stream as any other.
func TestStreamSuite(t *testing.T) {
	server, d := shared.Redis(t), dealing.Start(t, 3*time.Second)
	triggertest.StreamSuite(t, triggertest.Guarantees{New: func(t testing.TB) triggertest.Broker {
		return &sharded{broker: newBroker(t, server, 1), dealer: d}
	}})
}

// sharded is a stream in shards that a dealer deals.
type sharded struct {
	*broker
	dealer *dealing.Dealer
}

func (b *sharded) more(m map[string]any) map[string]any {
	all := map[string]any{"streams": b.streams, "bodyField": "body", "keyField": "key", "shards": suiteShards, "group": b.streams[0]}
	for k, v := range m {
		all[k] = v
	}
	return all
}

// Trigger implements [triggertest.Broker]: each is another processor.
func (b *sharded) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	s.Namespace, s.Shards = b.streams[0], b.dealer.Assigner() // a table for each check
	return b.at(t, s, "redis://"+b.proxy.Addr(), b.more(nil))
}

// Produce implements [triggertest.Broker].
func (b *sharded) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	p := b.client.Pipeline()
	for _, r := range rs {
		values := []any{"key", r.Key, "body", r.Body}
		for k, v := range r.Headers {
			values = append(values, k, v)
		}
		h := fnv.New32a()
		_, _ = h.Write([]byte(r.Key))
		p.XAdd(context.Background(), &redis.XAddArgs{Stream: keyOf(b.streams[0], int32(h.Sum32()%suiteShards)), Values: values})
	}
	_, err := p.Exec(context.Background())
	must(t, err)
}

// Broken implements [triggertest.Breaker].
func (b *sharded) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	text, url := fresh(), "redis://"+b.proxy.Addr()
	s.Namespace, s.Shards = text, b.dealer.Assigner()
	must(t, b.client.Set(context.Background(), text+":0", "x", 0).Err())
	wrong := s
	wrong.Spec.Username, wrong.Spec.Password = "nobody", quantity.Secret("no")
	return map[string]triggertest.Broken{
		"password": {Trigger: b.at(t, wrong, url, b.more(nil)), Says: `user "nobody" or its password is refused`},
		"no stream": {
			Trigger: b.at(t, s, url, b.more(map[string]any{"streams": []string{text}})),
			Mend:    func() { must(t, b.client.Del(context.Background(), text+":0").Err()) },
			Says:    fmt.Sprintf("the key %q is no stream", text+":0"),
		},
	}
}

func (b *sharded) settings(t testing.TB, by trigger.Assigner) trigger.Settings {
	s := settings(t, function.Trigger{})
	s.Spec.CheckpointInterval = quantity.Duration(20 * time.Millisecond)
	s.Function, s.Shards = b.streams[0], by
	return s
}

func (b *sharded) run(t *testing.T, by trigger.Assigner, then func(*event.Event) error) *running {
	t.Helper()
	return run(t, b.at(t, b.settings(t, by), "redis://"+b.proxy.Addr(), b.more(nil)), then)
}

func (b *sharded) kept(t *testing.T, shard int) map[string]string {
	t.Helper()
	m, err := b.client.HGetAll(context.Background(), fmt.Sprintf("myelin:checkpoint:%s:%s:%d", b.streams[0], b.streams[0], shard)).Result()
	must(t, err)
	return m
}

// TestZombie: a processor that works on under an old epoch cannot store a
// checkpoint, and lets go when it learns of that.
func TestZombie(t *testing.T) {
	b := &sharded{broker: newBroker(t, shared.Redis(t), 1)}
	last := b.add(t, b.streams[0]+":3", "body", "0", "key", "k")
	gate := make(chan struct{})
	old := b.run(t, dealing.Zombie{Epoch: 6}, func(*event.Event) error { <-gate; return nil })
	old.until("the event to run", func(r trigger.Report) bool { return r.InFlight == 1 })
	b.run(t, dealing.Zombie{Epoch: 7}, nil).next()
	for end := time.Now().Add(patience); b.kept(t, 3)["last"] != last; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the checkpoint is %v", b.kept(t, 3))
		}
	}
	b.add(t, b.streams[0]+":3", "body", "1", "key", "k")
	close(gate)
	old.until("the shard to be let go", func(r trigger.Report) bool {
		for _, sh := range r.Shards {
			if sh.Shard == 3 {
				return false
			}
		}
		return true
	})
	if k := b.kept(t, 3); k["epoch"] != "7" {
		t.Errorf("the checkpoint is %v", k)
	}
	late := b.run(t, dealing.Zombie{Epoch: 6}, nil)
	late.runs()
	if r := late.Report(); len(r.Shards) != 0 {
		t.Errorf("an old epoch has shards: %+v", r.Shards)
	}
}

// TestDealerForgets: a dealer whose state was lost begins behind the epochs that
// the checkpoints have.
func TestDealerForgets(t *testing.T) {
	b := &sharded{broker: newBroker(t, shared.Redis(t), 1), dealer: dealing.Start(t, 3*time.Second)}
	for i := range suiteShards {
		b.add(t, keyOf(b.streams[0], int32(i)), "body", "0", "key", "k")
	}
	for range 3 { // epochs rise
		r := b.run(t, b.dealer.Assigner(), nil)
		r.until("the shards", func(r trigger.Report) bool { return len(r.Shards) == suiteShards })
		r.end()
	}
	b.dealer.Away()
	b.dealer.Forget()
	b.dealer.Back(t)
	b.run(t, b.dealer.Assigner(), nil).until("the shards", func(r trigger.Report) bool { return len(r.Shards) == suiteShards })
}

// TestAlone: a processor that is alone has all shards without a dealer, and goes on
// from its checkpoints after a restart.
func TestAlone(t *testing.T) {
	b := &sharded{broker: newBroker(t, shared.Redis(t), 1)}
	for round := range 2 {
		for i := range suiteShards {
			b.add(t, keyOf(b.streams[0], int32(i)), "body", fmt.Sprint(round), "key", "k")
		}
		r := run(t, b.at(t, b.settings(t, nil), "redis://"+b.proxy.Addr(), b.more(map[string]any{"assignment": "all"})), nil)
		for range suiteShards {
			if ev := r.next(); string(ev.Body) != fmt.Sprint(round) {
				t.Errorf("in round %d came %s", round, ev.Body)
			}
		}
		r.end()
	}
}

// TestNoDealer: a trigger whose processor knows no dealer says so.
func TestNoDealer(t *testing.T) {
	b := &sharded{broker: newBroker(t, shared.Redis(t), 1)}
	err := b.at(t, b.settings(t, nil), "redis://"+b.proxy.Addr(), b.more(nil)).Run(t.Context(), trigger.HandlerFunc(nil))
	if err == nil || !strings.Contains(err.Error(), "knows no dealer") {
		t.Errorf("Run returned %v", err)
	}
}

// TestIDs: ids and offsets are the same in another form, in the same order.
func TestIDs(t *testing.T) {
	before := int64(-1)
	for _, id := range []string{"0-0", "0-1", "1-0", "1700000000000-0", "1700000000000-1048575", "1700000000001-0", "8796093022207-1048575"} {
		off, ok := offsetOf(id)
		if !ok || idOf(off) != id || off <= before {
			t.Errorf("%s is %d (%v), which is %s, after %d", id, off, ok, idOf(off), before)
		}
		before = off
	}
	for _, id := range []string{"", "1", "-", "1-", "-1", "1-1048576", "8796093022208-0", "1--1", "x-1", "1-18446744073709551615"} {
		if off, ok := offsetOf(id); ok {
			t.Errorf("%q is %d", id, off)
		}
	}
}

// TestShardsOfSpec: what shards exclude is told.
func TestShardsOfSpec(t *testing.T) {
	for text, want := range map[string]string{
		`{"streams": ["a"], "shards": -1}`:                         "shards: is -1",
		`{"streams": ["a"], "assignment": "all"}`:                  "assignment: is of shards",
		`{"streams": ["a"], "shards": 4, "assignment": "x"}`:       `assignment: is "x", expected dealer or all`,
		`{"streams": ["a"], "shards": 4, "consumer": "c"}`:         "consumer: is of a group",
		`{"streams": ["a"], "shards": 4, "assignment": "all"}`:     "",
		`{"streams": ["a"], "shards": 24, "assignment": "dealer"}`: "",
	} {
		s := settings(t, function.Trigger{URL: "redis://localhost"})
		_, err := Factory().New(s, json.RawMessage(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
