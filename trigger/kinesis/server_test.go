package kinesis

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/dealing"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
)

// alone starts a trigger that has all shards, with checkpoints stored soon.
func (b *broker) alone(t testing.TB, more map[string]any, then func(*event.Event) error) *running {
	t.Helper()
	all := map[string]any{"assignment": "all"}
	for k, v := range more {
		all[k] = v
	}
	return run(t, b.at(t, b.settings(t), all), then)
}

func (b *broker) settings(t testing.TB) trigger.Settings {
	s := settings(t)
	s.Spec.CheckpointInterval = quantity.Duration(20 * time.Millisecond)
	s.Namespace = b.name
	return s
}

// stored is the checkpoint of a shard.
func (b *broker) stored(t testing.TB, shard int32) (checkpoint, bool) {
	t.Helper()
	a := &api{Client: b.client, stream: b.name}
	created, err := a.created(context.Background())
	must(t, err)
	d := &table{Client: b.tables, name: "places", prefix: fmt.Sprintf("%s.f.in/%s/%d/", b.name, b.name, created)}
	c, ok, err := d.get(context.Background(), shard)
	if err != nil && strings.Contains(err.Error(), absent) {
		return c, false
	}
	must(t, err)
	return c, ok
}

// wants waits for the place of a shard.
func (b *broker) wants(t testing.TB, shard int32, place string) {
	t.Helper()
	eventually(t, "the checkpoint "+place, func() bool {
		c, _ := b.stored(t, shard)
		return c.place.String() == place
	})
}

// putUntil sends a record again and again until something comes.
func (b *broker) putUntil(t testing.TB, r *running, body string) {
	t.Helper()
	eventually(t, "an event", func() bool {
		b.put(t, "k", []byte(body))
		return len(r.events) > 0
	})
}

// said is a log that a test reads while others write.
type said struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(b)
}

func (s *said) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.all.String(), text)
}

func (s *said) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestRecord: an event has what its record has.
func TestRecord(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	r := b.alone(t, nil, nil)
	r.shards(suiteShards)
	body := bytes.Repeat([]byte{0, 0xff}, 300_000)
	shard, sequence := b.put(t, "käy\"\n", body)
	ev := r.next()
	if !bytes.Equal(ev.Body, body) || string(ev.Key) != "käy\"\n" || string(ev.ID) != shard+":"+sequence {
		t.Errorf("%d bytes, key %q, id %q", len(ev.Body), ev.Key, ev.ID)
	}
	if n, _ := numberOf(shard); ev.Token.Shard != n || ev.Token.Offset != 0 || ev.Topic != b.name || ev.Shards != suiteShards || time.Since(ev.Time) > time.Hour {
		t.Errorf("shard %d of %d, offset %d, topic %q, time %v", ev.Token.Shard, ev.Shards, ev.Token.Offset, ev.Topic, ev.Time)
	}
}

// TestStart: a shard without a checkpoint begins where it is told, and that is kept.
func TestStart(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	b.put(t, "k", []byte("old"))
	old := time.Now()
	eventually(t, "the clock", func() bool { return time.Since(old) > 20*time.Millisecond })
	between := time.Now()
	eventually(t, "the clock", func() bool { return time.Since(between) > 20*time.Millisecond })
	b.put(t, "k", []byte("new"))
	for at, want := range map[string]string{"earliest": "old", between.UTC().Format(time.RFC3339Nano): "new", "latest": "last", "": "last"} {
		s := b.settings(t)
		s.Spec.StartAt, s.Name = at, "at"+at
		r := run(t, b.at(t, s, map[string]any{"assignment": "all", "iteratorType": "LATEST"}), nil)
		if want == "last" {
			b.putUntil(t, r, "last")
		}
		if ev := r.next(); string(ev.Body) != want {
			t.Errorf("at %q: event %s, want %s", at, ev.Body, want)
		}
		r.end()
	}
}

// TestLatestIsKept: what comes to a shard that is read from now on is not lost if
// nobody reads then.
func TestLatestIsKept(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	latest := map[string]any{"iteratorType": "LATEST"}
	r := b.alone(t, latest, nil)
	r.shards(1)
	r.end()
	b.put(t, "k", []byte("meanwhile"))
	if ev := b.alone(t, latest, nil).next(); string(ev.Body) != "meanwhile" {
		t.Errorf("event %s", ev.Body)
	}
}

// TestIteratorsExpire: they are asked for anew, and nothing is lost or comes twice.
func TestIteratorsExpire(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	r := b.alone(t, nil, nil)
	for i := range 6 {
		b.edge.rule("GetRecords", rule{status: 400, code: "ExpiredIteratorException", left: 1})
		b.put(t, "k", []byte(fmt.Sprint(i)))
		if ev := r.next(); string(ev.Body) != fmt.Sprint(i) {
			t.Errorf("event %s, want %d", ev.Body, i)
		}
	}
	if x := r.Report(); x.Problem != "" {
		t.Errorf("a problem: %s", x.Problem)
	}
}

// TestThrottled: a service that wants fewer requests gets them, is complained of, and
// the session goes on.
func TestThrottled(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	_, first := b.put(t, "k", []byte("a"))
	r := b.alone(t, nil, nil)
	r.next()
	b.wants(t, 0, "after "+first)
	b.edge.refuse("GetRecords", 400, "ProvisionedThroughputExceededException")
	r.until("the complaint", func(x trigger.Report) bool { return strings.Contains(x.Problem, busy) })
	b.edge.refuse("GetRecords", 0, "")
	b.put(t, "k", []byte("b"))
	if ev := r.next(); string(ev.Body) != "b" {
		t.Errorf("event %s", ev.Body)
	}
	r.until("the end of the complaint", func(x trigger.Report) bool { return x.State == trigger.Running && x.Problem == "" })
}

// TestPace: a shard is not asked more often than it may be.
func TestPace(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	began := time.Now()
	r := b.alone(t, map[string]any{"requestsPerSecond": 5, "pollingPeriod": "10ms", "recordsPerRequest": 1}, nil)
	for i := range 4 {
		b.put(t, "k", []byte(fmt.Sprint(i)))
	}
	for range 4 {
		r.next()
	}
	if n, most := b.edge.called("GetRecords"), int(time.Since(began)/(200*time.Millisecond))+1; n > most {
		t.Errorf("%d requests in %v", n, time.Since(began))
	}
}

// TestRetentionPastTheCheckpoint: outOfRange says what then.
func TestRetentionPastTheCheckpoint(t *testing.T) {
	t.Parallel()
	for policy, want := range map[string]string{toEarliest: "0", toLatest: "new", toStop: ""} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			b := brokerAt(t, pool.Kinesis(t).Addr, 1)
			last := ""
			r := b.alone(t, nil, nil)
			for i := range 3 {
				_, last = b.put(t, "k", []byte(fmt.Sprint(i)))
				r.next()
			}
			b.wants(t, 0, "after "+last)
			r.end()
			b.edge.rule("GetShardIterator", rule{status: 400, code: "InvalidArgumentException", left: -1, having: last})
			var log said
			s := b.settings(t)
			s.Log = log.log()
			r = run(t, b.at(t, s, map[string]any{"assignment": "all", "outOfRange": policy}), nil)
			if policy == toStop {
				r.until("the problem", func(x trigger.Report) bool { return strings.Contains(x.Problem, "outOfRange says stop") })
				return
			}
			eventually(t, "the warning", func() bool { return log.has("was deleted") })
			if policy == toLatest {
				b.putUntil(t, r, "new")
			}
			if ev := r.next(); string(ev.Body) != want {
				t.Errorf("event %s, want %s", ev.Body, want)
			}
		})
	}
}

// TestStreamMadeAnew: checkpoints of the old one are not those of the new one.
func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	a := &api{Client: b.client, stream: b.name}
	before, err := a.created(context.Background())
	must(t, err)
	_, last := b.put(t, "k", []byte("before"))
	r := b.alone(t, nil, nil)
	r.next()
	b.wants(t, 0, "after "+last)
	b.call(t, "DeleteStream", map[string]any{"StreamName": b.name}, nil)
	r.until("the loss", func(x trigger.Report) bool { return strings.Contains(x.Problem, "is not there") })
	eventually(t, "another second", func() bool { return time.Now().Unix() > before })
	b.create(t, b.name, 2)
	b.put(t, "k", []byte("again"))
	if ev := r.next(); string(ev.Body) != "again" {
		t.Errorf("event %s", ev.Body)
	}
}

// TestZombie: a processor that works on under an old epoch cannot store a
// checkpoint, and lets go when it learns of that.
func TestZombie(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	_, first := b.put(t, "k", []byte("0"))
	start := func(epoch uint32, then func(*event.Event) error) *running {
		s := b.settings(t)
		s.Shards = dealing.Zombie{Epoch: epoch}
		return run(t, b.at(t, s, nil), then)
	}
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	old := start(6, func(*event.Event) error { <-gate; return nil })
	defer open()
	old.until("the event to run", func(x trigger.Report) bool { return x.InFlight == 1 })
	start(7, nil).next()
	b.wants(t, 0, "after "+first)
	_, second := b.put(t, "k", []byte("1"))
	b.wants(t, 0, "after "+second)
	open()
	old.until("the shard to be let go", func(x trigger.Report) bool { return len(x.Shards) == 0 })
	if c, _ := b.stored(t, 0); c.epoch != 7 || c.place.sequence != second || c.next != 2 {
		t.Errorf("checkpoint %+v", c)
	}
}

// TestTableAway: checkpoints that cannot be stored are told of, and stored once they
// can be.
func TestTableAway(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	guard := newEdge(t, b.table)
	guard.refuse("DescribeTable", 400, "AccessDeniedException")
	r := b.alone(t, map[string]any{"checkpointURL": "http://" + guard.addr}, nil)
	r.until("the refusal", func(x trigger.Report) bool {
		return strings.Contains(x.Problem, `table "places": the key may not do this`)
	})
	guard.refuse("DescribeTable", 0, "")
	_, last := b.put(t, "k", []byte("a"))
	r.next()
	b.wants(t, 0, "after "+last)
	guard.refuse("UpdateItem", 400, "ProvisionedThroughputExceededException")
	_, last = b.put(t, "k", []byte("b"))
	r.next()
	asked := guard.called("UpdateItem")
	eventually(t, "it to be tried again", func() bool { return guard.called("UpdateItem") > asked })
	guard.refuse("UpdateItem", 0, "")
	b.wants(t, 0, "after "+last)
}

// TestNoDealer: a trigger whose processor knows no dealer says so.
func TestNoDealer(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	err := b.at(t, b.settings(t), nil).Run(t.Context(), trigger.HandlerFunc(nil))
	if err == nil || !strings.Contains(err.Error(), "knows no dealer") {
		t.Errorf("Run returned %v", err)
	}
}

// TestKilledServer: a service that is killed and comes back is read on. The one of the
// tests keeps nothing: what comes afterwards is not to be lost.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	server := servers.Kinesis(t)
	b := brokerAt(t, server.Addr, 2)
	var mu sync.Mutex
	seen := map[string]bool{}
	b.alone(t, nil, func(ev *event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(ev.Body)] = true
		return nil
	})
	for life := range 3 {
		if life > 0 {
			must(t, server.Kill())
			must(t, server.Start())
			if b.client.Call(context.Background(), "DescribeStreamSummary", 0, map[string]any{"StreamName": b.name}, nil) != nil {
				b.create(t, b.name, 2) // it was killed before it had written of it
			}
		}
		for i := range 30 {
			b.put(t, fmt.Sprint(i), []byte(fmt.Sprint(life, "-", i)))
		}
		eventually(t, "all of them", func() bool {
			mu.Lock()
			defer mu.Unlock()
			for i := range 30 {
				if !seen[fmt.Sprint(life, "-", i)] {
					return false
				}
			}
			return true
		})
	}
}
