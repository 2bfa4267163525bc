package redislist

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	const url = "redis://127.0.0.1:1"
	for name, c := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       string
	}{
		"no url":   {`{"lists":["s"]}`, function.Trigger{}, "url: is required"},
		"scheme":   {`{"lists":["s"]}`, function.Trigger{URL: "http://me:hush@host"}, "neither redis:// nor rediss://"},
		"no lists": {`{}`, function.Trigger{URL: url}, "lists: has 0, expected 1 to 64"},
		"twice":    {`{"lists":["s","s"]}`, function.Trigger{URL: url}, `lists[1]: "s" is there twice`},
		"empty":    {`{"lists":[""]}`, function.Trigger{URL: url}, "lists[0]: is empty"},
		"unknown":  {`{"list":"s"}`, function.Trigger{URL: url}, "list"},
		"end":      {`{"lists":["s"],"end":"top"}`, function.Trigger{URL: url}, `end: is "top", expected left or right`},
		"lease":    {`{"lists":["s"],"lease":"1ms"}`, function.Trigger{URL: url}, "lease: is 1ms, expected at least 1s"},
		"tls":      {`{"lists":["s"],"tls":{}}`, function.Trigger{URL: url}, "only for an url that begins with rediss://"},
		"start":    {`{"lists":["s"]}`, function.Trigger{URL: url, Delivery: function.Delivery{StartAt: "latest"}}, "nothing to begin at"},
		"broker":   {`{"lists":["s"]}`, function.Trigger{URL: url, Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "broker"}}}, "nowhere to reject to"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Factory().New(trigger.Settings{Name: "in", Spec: c.spec}, json.RawMessage(c.attributes))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// source is a source whose sessions a test holds itself.
func (b *broker) source(t testing.TB, lease time.Duration) *source {
	t.Helper()
	cfg := defaults()
	cfg.Lists, cfg.End, cfg.ContentType = b.lists, b.end, "text/x"
	cfg.Lease, cfg.ReclaimInterval = quantity.Duration(lease), quantity.Duration(50*time.Millisecond)
	src, err := newSource(settings(t, function.Trigger{URL: "redis://" + b.proxy.Addr()}), cfg)
	must(t, err)
	return src
}

func (b *broker) session(t testing.TB, src *source) *session {
	t.Helper()
	s, err := src.Connect(t.Context(), queue.Want{Prefetch: 100})
	must(t, err)
	return s.(*session)
}

func receive(t testing.TB, s *session, most int) []*queue.Message {
	t.Helper()
	ms := make([]*queue.Message, most)
	for i := range ms {
		ms[i] = new(queue.Message)
	}
	n, err := s.Receive(t.Context(), ms)
	must(t, err)
	return ms[:n]
}

func bodies(ms []*queue.Message) (all []string) {
	for _, m := range ms {
		all = append(all, string(m.Event.Body))
	}
	return all
}

// TestOrder: elements come in the order of the list, and what is given back lies
// where it was, from either end; also the same element twice.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, end := range []string{left, right} {
		b := newBroker(t, shared.Redis(t), 1)
		b.end = end
		list := b.lists[0]
		b.push(b.client, list, "a", "b", "b", "", "\xff\x00")
		before := b.content(t, list)
		s := b.session(t, b.source(t, time.Minute))
		ms := receive(t, s, 4)
		if got := bodies(ms); !slices.Equal(got, []string{"a", "b", "b", ""}) || string(ms[0].Event.ContentType) != "text/x" || ms[0].Event.Topic != list {
			t.Errorf("%s: came %q of %q with %q", end, got, ms[0].Event.Topic, ms[0].Event.ContentType)
		}
		for _, m := range []*queue.Message{ms[2], ms[0], ms[3], ms[1]} {
			must(t, s.Settle(t.Context(), m, queue.Verdict{Action: queue.Requeue}))
		}
		if rest := b.content(t, list); len(rest) != 5 {
			t.Errorf("%s: %q after all were given back", end, rest)
		}
		must(t, b.client.Del(t.Context(), list).Err())
		b.push(b.client, list, "a", "b", "b", "", "\xff\x00")
		receive(t, s, 4)
		must(t, s.Close(t.Context())) // gives back, in order
		if rest := b.content(t, list); !slices.Equal(rest, before) {
			t.Errorf("%s: the list is %q, want %q", end, rest, before)
		}
		if keys := b.beside(t, list); len(keys) != 0 {
			t.Errorf("%s: left behind: %v", end, keys)
		}
	}
}

// TestZombie: what a processor has that stood still for longer than its lease is
// another's, in its order and counted; what it settles afterwards does no harm, and
// it takes no more.
func TestZombie(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t), 1)
	list := b.lists[0]
	b.push(b.client, list, "a", "b", "c")
	old := b.session(t, b.source(t, time.Minute))
	had := receive(t, old, 3)
	// Its time is over as if it had not been heard of for long.
	must(t, b.client.ZAddXX(t.Context(), prefix+list+owners, redisZ(old.owner, 1)).Err())
	heir := b.session(t, b.source(t, time.Minute))
	ms := receive(t, heir, 3)
	if got := bodies(ms); !slices.Equal(got, []string{"a", "b", "c"}) || ms[0].Delivered != 1 {
		t.Fatalf("the heir got %q, delivered %d times before", got, ms[0].Delivered)
	}
	must(t, old.Settle(t.Context(), had[0], queue.Verdict{}))
	must(t, old.Settle(t.Context(), had[1], queue.Verdict{Action: queue.Requeue}))
	if all := b.content(t, list); len(all) != 0 {
		t.Errorf("a zombie gave back %q", all)
	}
	b.push(b.client, list, "d")
	if _, err := old.Receive(t.Context(), []*queue.Message{{}}); !errors.Is(err, errFenced) {
		t.Errorf("a zombie received: %v", err)
	}
	if err := old.Settle(t.Context(), had[2], queue.Verdict{}); !errors.Is(err, errFenced) {
		t.Errorf("a zombie that knows settled: %v", err)
	}
	must(t, old.Close(t.Context()))
	must(t, heir.AckAll(t.Context(), ms))
	for _, m := range receive(t, heir, 3) {
		must(t, heir.Settle(t.Context(), m, queue.Verdict{}))
	}
	must(t, heir.Close(t.Context()))
	if keys, rest := b.beside(t, list), b.content(t, list); len(keys) != 0 || len(rest) != 0 {
		t.Errorf("left behind: %v, %q", keys, rest)
	}
}

// TestKillsItsProcessor: an element whose processors die comes to its end.
func TestKillsItsProcessor(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t), 1)
	list := b.lists[0]
	b.push(b.client, list, "deadly")
	for n := range 6 {
		s := b.session(t, b.source(t, time.Minute))
		ms := receive(t, s, 1)
		if ms[0].Delivered != n {
			t.Errorf("death %d: delivered %d times before", n, ms[0].Delivered)
		}
		s.stop() // and no more
		must(t, b.client.ZAddXX(t.Context(), prefix+list+owners, redisZ(s.owner, 1)).Err())
		t.Cleanup(func() { _ = s.Close(context.Background()) })
	}
	dead := fresh()
	spec := function.Trigger{Delivery: function.Delivery{Retry: &function.Retry{Attempts: 2}, OnFailure: &function.Destination{Kind: "topic", Topic: dead}}}
	r := run(t, b.Trigger(t, settings(t, spec)), func(*event.Event) error { return errors.New("dies") })
	r.until("its end after one attempt more", func(r trigger.Report) bool { return r.Dead == 1 })
	r.end()
	if r.Report().Retried != 0 {
		t.Errorf("it ran again: %+v", r.Report())
	}
	if all := b.content(t, dead); !slices.Equal(all, []string{"deadly"}) {
		t.Errorf("dead letters %q", all)
	}
	if keys := b.beside(t, list); len(keys) != 0 {
		t.Errorf("left behind: %v", keys)
	}
}

// TestLongFunctionKeepsItsElement: what is worked on for longer than the lease is
// not another's.
func TestLongFunctionKeepsItsElement(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t), 1)
	release := make(chan struct{})
	defer sendOff(release)
	start := func() *running {
		return run(t, b.at(t, settings(t, function.Trigger{}), "redis://"+b.proxy.Addr(), b.attributes(map[string]any{"lease": "30s", "reclaimInterval": "50ms"})), func(*event.Event) error {
			<-release
			return nil
		})
	}
	one, two := start(), start()
	b.push(b.client, b.lists[0], "long")
	in := func() int { return one.Report().InFlight + two.Report().InFlight }
	one.until("the element", func(trigger.Report) bool { return in() == 1 })
	key := prefix + b.lists[0] + owners
	first, err := b.client.ZRangeWithScores(t.Context(), key, 0, -1).Result()
	must(t, err)
	one.until("both to say that they live", func(trigger.Report) bool {
		now, err := b.client.ZRangeWithScores(t.Context(), key, 0, -1).Result()
		must(t, err)
		return len(now) == 2 && now[0].Score > first[len(first)-1].Score
	})
	if in() != 1 {
		t.Errorf("%d runs of one element", in())
	}
	sendOff(release)
	one.until("the end", func(trigger.Report) bool { return one.Report().Done+two.Report().Done == 1 })
}

func sendOff(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// TestWatch: who only asks knows how much waits.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t), 2)
	trg := b.Trigger(t, settings(t, function.Trigger{}))
	w, err := trg.(trigger.Watchable).Watch()
	must(t, err)
	defer w.Close()
	waits := func(n int64) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			got, err := w.Waiting(t.Context())
			if err == nil && got == n {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d wait, %v; want %d", got, err, n)
			}
		}
	}
	waits(0)
	b.Produce(t, make([]triggertest.Record, 5)...)
	waits(5)
	s := b.session(t, b.source(t, time.Minute))
	receive(t, s, 3)
	waits(5)
	must(t, s.Close(t.Context()))
	r := run(t, trg, nil)
	r.until("all to be done", func(x trigger.Report) bool { return x.Done == 5 })
	waits(0)
}

// TestTypeChanges: a key that becomes something else is told, and waited for.
func TestTypeChanges(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t), 1)
	r := run(t, b.Trigger(t, settings(t, function.Trigger{})), nil)
	b.push(b.client, b.lists[0], "x")
	r.next()
	r.until("its ack", func(trigger.Report) bool { return len(b.beside(t, b.lists[0])) == 1 }) // the owner
	must(t, b.client.Set(t.Context(), b.lists[0], "x", 0).Err())
	r.until("the trouble", func(r trigger.Report) bool { return strings.Contains(r.Problem, "is no list but a string") })
	must(t, b.client.Del(t.Context(), b.lists[0]).Err())
	b.push(b.client, b.lists[0], "y")
	if ev := r.next(); string(ev.Body) != "y" {
		t.Errorf("event %q", ev.Body)
	}
}

// TestBlackhole: a server that is silent is given up, and found again.
func TestBlackhole(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t), 1)
	r := run(t, b.at(t, settings(t, function.Trigger{}), "redis://"+b.proxy.Addr(), b.attributes(map[string]any{"timeout": "1s", "connectTimeout": "1s"})), nil)
	r.until("the connection", func(r trigger.Report) bool { return r.State == trigger.Running })
	b.proxy.Blackhole()
	r.until("the loss", func(r trigger.Report) bool { return r.State == trigger.Connecting })
	must(t, b.proxy.Restore())
	b.push(b.client, b.lists[0], "after")
	if ev := r.next(); string(ev.Body) != "after" {
		t.Errorf("event %q", ev.Body)
	}
}

// TestKilledServer: a server that is killed in the middle of the load, again and
// again, costs no element.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t)
	b := newBroker(t, server, 2)
	const n, kills = 2000, 3
	var rs []triggertest.Record
	for i := range n {
		rs = append(rs, triggertest.Record{Body: fmt.Sprint(i)})
	}
	b.Produce(t, rs...)
	r := run(t, b.Trigger(t, settings(t, function.Trigger{})), func(*event.Event) error {
		<-time.After(time.Millisecond)
		return nil
	})
	seen := map[string]int{}
	runs := 0
	for killed := 0; len(seen) < n; runs++ {
		seen[string(r.next().Body)]++
		if killed < kills && len(seen) > (killed+1)*n/(kills+1) {
			killed++
			must(t, server.Kill())
			r.until("the loss", func(r trigger.Report) bool { return r.State == trigger.Connecting && r.Problem != "" })
			must(t, server.Start())
		}
	}
	t.Logf("%d runs of %d elements over %d kills", runs, n, kills)
}

func redisZ(owner string, till float64) redis.Z { return redis.Z{Member: owner, Score: till} }

// TestBeats: who takes nothing is known to live, and who is no longer known is told.
func TestBeats(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t), 2)
	s := b.session(t, b.source(t, time.Second))
	defer func() { must(t, s.Close(context.Background())) }()
	key := prefix + b.lists[1] + owners
	first, err := b.client.ZScore(t.Context(), key, s.owner).Result()
	must(t, err)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if now, err := b.client.ZScore(t.Context(), key, s.owner).Result(); err == nil && now > first {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no beat was heard")
		}
	}
	must(t, b.client.ZRem(t.Context(), key, s.owner).Err())
	select {
	case <-s.fence:
	case <-time.After(patience):
		t.Fatal("a processor that was taken for dead was not told")
	}
}
