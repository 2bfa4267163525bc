package redis

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const patience = 2 * time.Minute

// running is a trigger that runs, and the events that its function saw.
type running struct {
	trigger.Reporter
	t      testing.TB
	events chan *event.Event
	stop   context.CancelFunc
	ended  chan struct{}
}

// run starts a trigger whose function does what then says; nil: nothing.
func run(t testing.TB, trg trigger.Trigger, then func(*event.Event) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Reporter: trg.(trigger.Reporter), t: t, events: make(chan *event.Event, 100_000), stop: cancel, ended: make(chan struct{})}
	h := func(_ context.Context, ev *event.Event, _ *event.Response) (err error) {
		c := ev.Clone()
		if then != nil {
			err = then(ev)
		}
		r.events <- c
		return err
	}
	go func() {
		defer close(r.ended)
		if err := trg.Run(ctx, trigger.HandlerFunc(h)); err != nil {
			t.Errorf("Run returned %v", err)
		}
	}()
	t.Cleanup(r.end)
	return r
}

func (r *running) end() {
	r.stop()
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.t.Error("Run did not return")
	}
}

func (r *running) next() *event.Event {
	r.t.Helper()
	select {
	case ev := <-r.events:
		return ev
	case <-time.After(patience):
		r.t.Fatalf("no event; %+v", r.Report())
		return nil
	}
}

func (r *running) until(what string, ok func(trigger.Report) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(r.Report()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v", what, r.Report())
		}
	}
}

func (r *running) runs() {
	r.t.Helper()
	r.until("the group", func(r trigger.Report) bool { return r.State == trigger.Running })
}

func settings(t testing.TB, spec function.Trigger) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Spec: spec, Workers: 4, Letters: lost{t}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// lost takes letters that nobody expects.
type lost struct{ t testing.TB }

func (l lost) Send(_ context.Context, x *letter.Letter) error {
	l.t.Errorf("a letter: %+v", x)
	return nil
}

func (b *broker) add(t testing.TB, stream string, values ...any) string {
	t.Helper()
	id, err := b.client.XAdd(context.Background(), &redis.XAddArgs{Stream: stream, Values: values}).Result()
	must(t, err)
	return id
}

// leave lets a consumer that is no more have read an entry n times.
func (b *broker) leave(t testing.TB, stream, group, consumer string, n int) {
	t.Helper()
	ctx := context.Background()
	b.client.XGroupCreateMkStream(ctx, stream, group, "0")
	read, err := b.client.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: consumer, Streams: []string{stream, ">"}}).Result()
	must(t, err)
	for range n - 1 {
		must(t, b.client.XClaim(ctx, &redis.XClaimArgs{Stream: stream, Group: group, Consumer: consumer, Messages: []string{read[0].Messages[0].ID}}).Err())
	}
}

// TestClaims: what a dead consumer has left is run, once it is idle for long
// enough, and its count is known.
func TestClaims(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 2)
	for _, stream := range b.streams {
		for n := range 150 {
			b.add(t, stream, "body", n)
		}
		b.leave(t, stream, "f", "dead", 3)
	}
	var mu sync.Mutex
	before := 0
	src := b.source(t, b.attributes(map[string]any{"minIdle": "1s"}))
	session, err := src.Connect(context.Background(), queue.Want{Prefetch: 1000})
	must(t, err)
	ms := make([]*queue.Message, 64)
	for i := range ms {
		ms[i] = new(queue.Message)
	}
	got := 0
	for end := time.Now().Add(patience); got < 300 && time.Now().Before(end); {
		n, err := session.Receive(context.Background(), ms)
		must(t, err)
		for _, m := range ms[:n] {
			mu.Lock()
			before = max(before, m.Delivered)
			mu.Unlock()
			must(t, session.Settle(context.Background(), m, queue.Verdict{}))
		}
		got += n
	}
	if got != 300 || before != 3 {
		t.Errorf("%d entries, delivered up to %d times before, want 300 and 3", got, before)
	}
	must(t, session.Close(context.Background()))
	for _, stream := range b.streams {
		p, err := b.client.XPending(context.Background(), stream, "f").Result()
		must(t, err)
		if p.Count != 0 {
			t.Errorf("%d entries of %s are pending", p.Count, stream)
		}
		if names, err := b.client.XInfoConsumers(context.Background(), stream, "f").Result(); err != nil || len(names) != 1 || names[0].Name != "dead" {
			t.Errorf("consumers %v, %v, want only the dead one", names, err)
		}
	}
}

func (b *broker) source(t testing.TB, attributes map[string]any) *source {
	t.Helper()
	s := settings(t, function.Trigger{URL: "redis://" + b.proxy.Addr()})
	cfg := defaults()
	cfg.Streams, cfg.BodyField, cfg.KeyField, cfg.MakeStreams = b.streams, "body", "key", true
	cfg.ClaimInterval = quantity.Duration(100 * time.Millisecond)
	if d, ok := attributes["minIdle"].(string); ok {
		must(t, cfg.MinIdle.UnmarshalJSON([]byte(`"`+d+`"`)))
	}
	src, err := newSource(s, cfg)
	must(t, err)
	t.Cleanup(func() { must(t, src.Close()) })
	return src
}

// TestOwnPendingEntries: a consumer with a name of its own takes up what it had
// at once.
func TestOwnPendingEntries(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 1)
	for n := range 300 {
		b.add(t, b.streams[0], "body", n)
	}
	b.leave(t, b.streams[0], "g", "me", 1)
	r := run(t, b.at(t, settings(t, function.Trigger{}), "redis://"+b.proxy.Addr(),
		b.attributes(map[string]any{"group": "g", "consumer": "me", "minIdle": "1h"})), nil)
	r.until("all to be done", func(r trigger.Report) bool { return r.Done == 300 })
}

// TestTrimmed: entries that were pending and are trimmed away are told and
// forgotten, and the others are run.
func TestTrimmed(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 1)
	ctx := context.Background()
	for _, consumer := range []string{"me", "dead"} {
		for n := range 5 {
			b.add(t, b.streams[0], "body", n)
		}
		b.leave(t, b.streams[0], "g", consumer, 1)
	}
	must(t, b.client.XTrimMaxLen(ctx, b.streams[0], 2).Err())
	var log lockedBuffer
	s := settings(t, function.Trigger{})
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	r := run(t, b.at(t, s, "redis://"+b.proxy.Addr(), b.attributes(map[string]any{"group": "g", "consumer": "me", "minIdle": "500ms"})), nil)
	r.until("two to be done", func(r trigger.Report) bool { return r.Done == 2 })
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p, err := b.client.XPending(ctx, b.streams[0], "g").Result()
		must(t, err)
		if p.Count == 0 && strings.Count(log.String(), "trimmed or deleted") == 8 {
			return
		}
	}
	t.Errorf("told of %d trimmed entries, want 8", strings.Count(log.String(), "trimmed or deleted"))
}

// TestLongFunctionKeepsItsEntry: an entry that is worked on is not taken over.
func TestLongFunctionKeepsItsEntry(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 1)
	release := make(chan struct{})
	attributes := b.attributes(map[string]any{"minIdle": "1s", "claimInterval": "50ms"})
	start := func() *running {
		return run(t, b.at(t, settings(t, function.Trigger{}), "redis://"+b.proxy.Addr(), attributes), func(*event.Event) error {
			<-release
			return nil
		})
	}
	one, two := start(), start()
	b.add(t, b.streams[0], "body", "long")
	one.runs()
	two.runs()
	in := func() int { return one.Report().InFlight + two.Report().InFlight }
	one.until("the entry", func(trigger.Report) bool { return in() == 1 })
	<-time.After(3 * time.Second) // no condition to await: it must not come
	if in() != 1 {
		t.Errorf("%d runs of one entry", in())
	}
	close(release)
	one.until("the end", func(trigger.Report) bool { return one.Report().Done+two.Report().Done == 1 })
}

// TestStopGivesBack: what a stopping trigger had and did not begin is another's
// at once.
func TestStopGivesBack(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 1)
	attributes := b.attributes(map[string]any{"minIdle": "1h", "claimInterval": "20ms"})
	release := make(chan struct{})
	spec := function.Trigger{Delivery: function.Delivery{Prefetch: 50, MaxInFlight: 1}}
	one := run(t, b.at(t, settings(t, spec), "redis://"+b.proxy.Addr(), attributes), func(*event.Event) error {
		<-release
		return nil
	})
	b.Produce(t, make([]triggertest.Record, 40)...)
	one.until("some", func(r trigger.Report) bool { return r.InFlight == 40 })
	two := run(t, b.at(t, settings(t, function.Trigger{}), "redis://"+b.proxy.Addr(), attributes), nil)
	two.runs()
	one.stop()
	two.until("the rest", func(r trigger.Report) bool { return r.Done == 39 })
	close(release)
	one.end()
	if one.Report().Done != 1 {
		t.Errorf("report %+v", one.Report())
	}
}

// TestLetters: what fails for good ends in another stream, with its fields, and
// answers in a third.
func TestLetters(t *testing.T) {
	for field, answer := range map[string]string{"body": "body", "": "body"} {
		t.Run("body field "+field, func(t *testing.T) {
			b := newBroker(t, shared.Redis(t), 1)
			dead, done := fresh(), fresh()
			spec := function.Trigger{Delivery: function.Delivery{
				OnFailure: &function.Destination{Kind: "topic", Topic: dead}, OnSuccess: &function.Destination{Kind: "topic", Topic: done},
				Retry: &function.Retry{Attempts: 2, Backoff: &function.Backoff{Initial: 1e6}},
			}}
			r := run(t, b.at(t, settings(t, spec), "redis://"+b.proxy.Addr(), b.attributes(map[string]any{"bodyField": field})), func(ev *event.Event) error {
				if string(ev.Header("n")) == "7" {
					return errors.New("cannot do 7")
				}
				return nil
			})
			for n := range 20 {
				b.add(t, b.streams[0], "n", n, "body", "\xff", "content-type", "x/y")
			}
			r.until("19 to be done and one dead", func(r trigger.Report) bool { return r.Done == 19 && r.Dead == 1 })
			all, err := b.client.XRange(context.Background(), dead, "-", "+").Result()
			must(t, err)
			if len(all) != 1 || all[0].Values["n"] != "7" || all[0].Values["body"] != "\xff" || all[0].Values["content-type"] != "x/y" ||
				all[0].Values["myelin-error"] != "cannot do 7" || all[0].Values["myelin-attempts"] != "2" {
				t.Errorf("dead letters %v", all)
			}
			if all, err = b.client.XRange(context.Background(), done, "-", "+").Result(); err != nil || len(all) != 19 || all[0].Values[answer] != "" || all[0].Values["myelin-status"] == nil {
				t.Errorf("%d answers, such as %v, %v", len(all), all[:min(len(all), 1)], err)
			}
		})
	}
}
