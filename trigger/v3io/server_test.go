package v3io

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
	platform "github.com/myelin-run/myelin/test/v3io"
	"github.com/myelin-run/myelin/trigger"
)

// alone starts a trigger that has all shards, with checkpoints stored soon.
func (b *broker) alone(t testing.TB, more map[string]any, then func(*event.Event) error) *running {
	t.Helper()
	all := map[string]any{"assignment": "all", "seekTo": "earliest"}
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

func (b *broker) put(n int, body string) int64 {
	return b.PutTo(b.stream(), n, platform.Record{PartitionKey: "k", Data: []byte(body)})
}

func (b *broker) stored(n int) string {
	return b.Attributes(b.stream(), n)["__g_committed_sequence_number"]
}

// wants waits for the checkpoint of a shard.
func (b *broker) wants(t testing.TB, n int, committed int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("the checkpoint %d", committed), func() bool { return b.stored(n) == fmt.Sprint(committed) })
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
	b.PutTo(b.stream(), 3, platform.Record{PartitionKey: "käy\"\n", ClientInfo: []byte{1, 2}, Data: body})
	ev := r.next()
	if !bytes.Equal(ev.Body, body) || string(ev.Key) != "käy\"\n" || string(ev.Header("client-info")) != "\x01\x02" {
		t.Errorf("%d bytes, key %q, header %q", len(ev.Body), ev.Key, ev.Header("client-info"))
	}
	if ev.Token.Shard != 3 || ev.Token.Offset != 1 || ev.Topic != b.stream() || ev.Shards != suiteShards || time.Since(ev.Time) > time.Hour {
		t.Errorf("shard %d of %d, offset %d, topic %q, time %v", ev.Token.Shard, ev.Shards, ev.Token.Offset, ev.Topic, ev.Time)
	}
}

// TestGoesOnWhereTheGroupWas: a checkpoint of the platform's own consumer groups
// is read, and stored as they do.
func TestGoesOnWhereTheGroupWas(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for i := range 5 {
		b.put(2, fmt.Sprint(i))
	}
	b.SetAttribute(b.stream(), 2, "__g_committed_sequence_number", "3")
	r := b.alone(t, nil, nil)
	if ev := r.next(); string(ev.Body) != "3" {
		t.Errorf("the first event is %s", ev.Body)
	}
	b.wants(t, 2, 5)
}

// TestStart: a group without a checkpoint begins where it is told, and a seek goes
// elsewhere.
func TestStart(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for i := range 3 {
		b.put(0, fmt.Sprint("old", i))
	}
	old := time.Now()
	eventually(t, "the clock", func() bool { return time.Now().After(old) })
	between := time.Now()
	eventually(t, "the clock", func() bool { return time.Now().After(between) })
	b.put(0, "new0")
	b.put(0, "new1")
	for at, want := range map[string]string{"earliest": "old0", "2": "old1", between.Format(time.RFC3339Nano): "new0", "latest": "last", "": "last"} {
		t.Run(at, func(t *testing.T) {
			s := b.settings(t)
			s.Spec.StartAt = at
			trg := b.at(t, s, map[string]any{"assignment": "all", "consumerGroup": fmt.Sprintf("g%d", fresh.Add(1))})
			r := run(t, trg, nil)
			r.shards(suiteShards)
			if want == "last" {
				b.put(0, "last")
			}
			if ev := r.next(); string(ev.Body) != want {
				t.Errorf("the first event is %s, want %s", ev.Body, want)
			}
			must(t, trg.(trigger.Seeker).Seek(context.Background(), "3"))
			eventually(t, "the third record", func() bool { return string(r.next().Body) == "old2" })
		})
	}
}

// TestNewShard: a shard that has never had a record has no object, and is read from
// its first record on, wherever the trigger was to begin.
func TestNewShard(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	r := b.alone(t, map[string]any{"seekTo": "latest"}, nil)
	r.shards(suiteShards)
	if b.Calls("PutItem") != 0 {
		t.Error("something was written where a shard is to be")
	}
	b.put(4, "first")
	if ev := r.next(); string(ev.Body) != "first" {
		t.Errorf("the first event is %s", ev.Body)
	}
	b.wants(t, 4, 1)
}

// TestMoreShards: shards that are added are read, and the others read on.
func TestMoreShards(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	d := dealing.Start(t, 3*time.Second)
	start := func() *running {
		s := b.settings(t)
		s.Shards = d.Assigner()
		return run(t, b.at(t, s, map[string]any{"seekTo": "earliest"}), nil)
	}
	one, two := start(), start()
	has := func(n int) func() bool {
		return func() bool { return len(one.Report().Shards)+len(two.Report().Shards) == n }
	}
	eventually(t, "the shards", has(suiteShards))
	for n := range suiteShards {
		b.put(n, fmt.Sprint(n))
	}
	done := func(n int64) func() bool {
		return func() bool { return int64(one.Report().Done+two.Report().Done) >= n }
	}
	eventually(t, "all", done(suiteShards))
	b.Grow(b.stream(), suiteShards+3)
	eventually(t, "the new shards", has(suiteShards+3))
	for n := range suiteShards + 3 {
		b.put(n, fmt.Sprint("more", n))
	}
	eventually(t, "all", done(2*suiteShards+3))
	for n := range suiteShards {
		b.wants(t, n, 2)
	}
	b.wants(t, suiteShards+2, 1)
}

// TestLocationExpired: a location that is not valid any more is sought anew.
func TestLocationExpired(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.put(1, "a")
	r := b.alone(t, nil, nil)
	r.next()
	b.Expire()
	b.put(1, "b")
	if ev := r.next(); string(ev.Body) != "b" {
		t.Errorf("event %s", ev.Body)
	}
	if got := r.Report().Reconnects; got != 0 {
		t.Errorf("%d reconnects", got)
	}
}

// TestRetentionPastTheCheckpoint: what retention has deleted is told, and the rest
// is read.
func TestRetentionPastTheCheckpoint(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.put(1, "0")
	r := b.alone(t, nil, nil)
	r.next()
	b.wants(t, 1, 1)
	r.end()
	for i := range 9 {
		b.put(1, fmt.Sprint(i+1))
	}
	b.Trim(b.stream(), 1, 6)
	var log said
	s := b.settings(t)
	s.Log = log.log()
	r = run(t, b.at(t, s, map[string]any{"assignment": "all"}), nil)
	if ev := r.next(); string(ev.Body) != "5" {
		t.Errorf("event %s", ev.Body)
	}
	if !log.has("records were deleted before they were read") || !log.has("from=2 to=5") {
		t.Error("it was not told")
	}
}

// TestStreamMadeAnew: a stream that was deleted is waited for, and one of its name
// is read from its begin.
func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for i := range 3 {
		b.put(0, fmt.Sprint(i))
	}
	r := b.alone(t, nil, nil)
	for range 3 {
		r.next()
	}
	b.wants(t, 0, 3)
	b.Delete(b.stream())
	r.until("the loss", func(x trigger.Report) bool { return strings.Contains(x.Problem, "is not there") })
	b.Create(b.stream(), 2)
	b.put(0, "again")
	if ev := r.next(); string(ev.Body) != "again" {
		t.Errorf("event %s", ev.Body)
	}
	b.wants(t, 0, 1)
}

// TestThrottled: a platform that wants fewer requests gets them, is complained of,
// and the session goes on.
func TestThrottled(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.put(0, "a")
	r := b.alone(t, nil, nil)
	r.next()
	b.wants(t, 0, 1)
	b.Throttle(1 << 30)
	r.until("the complaint", func(x trigger.Report) bool { return strings.Contains(x.Problem, "fewer requests") })
	b.Throttle(0)
	b.put(0, "b")
	if ev := r.next(); string(ev.Body) != "b" {
		t.Errorf("event %s", ev.Body)
	}
	r.until("the end of the complaint", func(x trigger.Report) bool { return x.State == trigger.Running && x.Problem == "" })
}

// TestZombie: a processor that works on under an old epoch cannot store a
// checkpoint, and lets go when it learns of that.
func TestZombie(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.put(3, "0")
	start := func(epoch uint32, then func(*event.Event) error) *running {
		s := b.settings(t)
		s.Shards = dealing.Zombie{Epoch: epoch}
		return run(t, b.at(t, s, map[string]any{"seekTo": "earliest"}), then)
	}
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	old := start(6, func(*event.Event) error { <-gate; return nil })
	defer open()
	old.until("the event to run", func(x trigger.Report) bool { return x.InFlight == 1 })
	start(7, nil).next()
	b.wants(t, 3, 1)
	b.put(3, "1")
	b.wants(t, 3, 2)
	open()
	old.until("the shard to be let go", func(x trigger.Report) bool {
		for _, sh := range x.Shards {
			if sh.Shard == 3 {
				return false
			}
		}
		return true
	})
	if got := b.Attributes(b.stream(), 3); got["__g_myelin_epoch"] != "7" || got["__g_committed_sequence_number"] != "2" {
		t.Errorf("attributes %v", got)
	}
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

// TestKilled: the server is killed in the middle, again and again; what was not
// stored comes again, and nothing is lost.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	var mu sync.Mutex
	seen := map[string]bool{}
	r := b.alone(t, nil, func(ev *event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(ev.Body)] = true
		return nil
	})
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
	const n, kills = 540, 3
	for k := range kills {
		for i := range n / kills {
			b.put(i%suiteShards, fmt.Sprint(k, "-", i))
		}
		eventually(t, "some", func() bool { return count() > k*n/kills+10 })
		b.Cut(t)
	}
	eventually(t, "all", func() bool { return count() == n })
	for i := range suiteShards {
		b.wants(t, i, n/suiteShards)
	}
	r.end()
}

// TestWatch: how much waits is known while nobody reads.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	if _, err := b.at(t, b.settings(t), nil).(trigger.Watchable).Watch(); err == nil || !strings.Contains(err.Error(), "would be missed") {
		t.Errorf("one that begins at the latest can be watched: %v", err)
	}
	w, err := b.at(t, b.settings(t), map[string]any{"seekTo": "earliest"}).(trigger.Watchable).Watch()
	must(t, err)
	defer w.Close()
	waits := func(want int64) {
		t.Helper()
		if n, err := w.Waiting(t.Context()); err != nil || n != want {
			t.Errorf("%d wait, %v, want %d", n, err, want)
		}
	}
	waits(0)
	for i := range 10 {
		b.put(i%2, "x")
	}
	waits(10)
	b.Trim(b.stream(), 0, 3)
	b.SetAttribute(b.stream(), 0, "__g_committed_sequence_number", "4")
	waits(6)
	b.Kill()
	if n, err := w.Waiting(t.Context()); err == nil {
		t.Errorf("%d wait at a server that is away", n)
	}
	must(t, b.Serve())
	waits(6)
}
