package redispubsub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const patience = 2 * time.Minute

var (
	shared servers.Pool
	number atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

func TestSuite(t *testing.T) {
	server := shared.Redis(t)
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, NoHeaders: true, Forgets: true, Sole: true, Parallel: true, New: func(t testing.TB) triggertest.Broker {
		return newBroker(t, server)
	}})
}

// TestShardedSuite: sharded channels are channels as well.
func TestShardedSuite(t *testing.T) {
	server := shared.Redis(t)
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, NoHeaders: true, Forgets: true, Sole: true, Parallel: true, Brief: true, New: func(t testing.TB) triggertest.Broker {
		b := newBroker(t, server)
		b.sharded = true
		return b
	}})
}

// broker is one channel, and a way to it that can be cut.
type broker struct {
	server  *servers.Server
	channel string
	sharded bool
	proxy   *fault.Proxy
	client  *redis.Client // past the proxy
}

func newBroker(t testing.TB, s *servers.Server) *broker {
	t.Helper()
	p, err := fault.Listen(s.Addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	c := redis.NewClient(&redis.Options{Addr: s.Addr, PoolSize: 2})
	t.Cleanup(func() { _ = c.Close() })
	return &broker{server: s, channel: fmt.Sprintf("c%d", number.Add(1)), proxy: p, client: c}
}

func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return b.trigger(t, s, map[string]any{"channels": []string{b.channel}, "sharded": b.sharded})
}

func (b *broker) trigger(t testing.TB, s trigger.Settings, attributes map[string]any) trigger.Trigger {
	t.Helper()
	s.Spec.Kind, s.Spec.StartAt = Kind, ""
	if s.Spec.URL == "" {
		s.Spec.URL = "redis://" + b.proxy.Addr()
	}
	raw, err := json.Marshal(attributes)
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

// Produce implements [triggertest.Broker].
func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	for _, r := range rs {
		b.publish(t, b.channel, r.Body)
	}
}

func (b *broker) publish(t testing.TB, channel string, body any) {
	t.Helper()
	if b.sharded {
		must(t, b.client.SPublish(context.Background(), channel, body).Err())
		return
	}
	must(t, b.client.Publish(context.Background(), channel, body).Err())
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	wrong, none := s, s
	wrong.Spec.Username, wrong.Spec.Password = "nobody", quantity.Secret("no")
	none.Spec.URL = "redis://" + b.proxy.Addr() + "/99"
	few := b.channel
	must(t, b.client.Do(context.Background(), "acl", "setuser", few, "on", ">word", "~*", "resetchannels", "+@all").Err())
	deaf := s
	deaf.Spec.Username, deaf.Spec.Password = few, quantity.Secret("word")
	return map[string]triggertest.Broken{
		"password": {Trigger: b.Trigger(t, wrong), Says: `user "nobody" or its password is refused`},
		"channel":  {Trigger: b.Trigger(t, deaf), Says: "NOPERM"},
		"database": {Trigger: b.Trigger(t, none), Says: "DB index is out of range"},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// running is a trigger that runs, and the events that its function saw.
type running struct {
	trigger.Reporter
	t      testing.TB
	events chan *event.Event
	stop   context.CancelFunc
	ended  chan struct{}
}

// run starts a trigger whose function does what then says, and waits until it has
// subscribed.
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
	r.until("the subscription", func(r trigger.Report) bool { return r.State == trigger.Running })
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

func settings(t testing.TB, spec function.Trigger) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Spec: spec, Workers: 4, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	const url = "redis://127.0.0.1:1"
	for name, c := range map[string]struct {
		attributes string
		spec       function.Trigger
		want       string
	}{
		"no url":   {`{"channels":["s"]}`, function.Trigger{}, "url: is required"},
		"nothing":  {`{}`, function.Trigger{URL: url}, "channels: is required"},
		"twice":    {`{"patterns":["s","s"]}`, function.Trigger{URL: url}, `patterns[1]: "s" is there twice`},
		"empty":    {`{"channels":[""]}`, function.Trigger{URL: url}, "channels[0]: is empty"},
		"unknown":  {`{"channel":"s"}`, function.Trigger{URL: url}, "channel"},
		"sharded":  {`{"patterns":["s"],"sharded":true}`, function.Trigger{URL: url}, "sharded channels have none"},
		"pending":  {`{"channels":["s"],"pending":-1}`, function.Trigger{URL: url}, "pending: is -1"},
		"interval": {`{"channels":["s"],"pingInterval":"1ms"}`, function.Trigger{URL: url}, "pingInterval: is 1ms"},
		"start":    {`{"channels":["s"]}`, function.Trigger{URL: url, Delivery: function.Delivery{StartAt: "earliest"}}, "channels keep no messages"},
		"broker":   {`{"channels":["s"]}`, function.Trigger{URL: url, Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "broker"}}}, "nowhere to reject to"},
		"once":     {`{"channels":["s"]}`, function.Trigger{URL: url, Delivery: function.Delivery{Guarantee: "exactlyOnce"}}, "no exactlyOnce"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Factory().New(trigger.Settings{Name: "in", Spec: c.spec}, json.RawMessage(c.attributes))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestPatterns: a message comes once for each subscription that it fits, with what
// it is; each replica has it.
func TestPatterns(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t))
	pattern := b.channel + ".*"
	attributes := map[string]any{"channels": []string{b.channel + ".x"}, "patterns": []string{pattern}}
	for _, r := range []*running{run(t, b.trigger(t, settings(t, function.Trigger{}), attributes), nil), run(t, b.trigger(t, settings(t, function.Trigger{}), attributes), nil)} {
		b.publish(t, b.channel+".x", "\xff\x00")
		seen := map[string]int{}
		for range 2 {
			ev := r.next()
			if string(ev.Body) != "\xff\x00" || ev.Topic != b.channel+".x" || len(ev.ID) == 0 || ev.Time.IsZero() {
				t.Errorf("event %q of %q", ev.Body, ev.Topic)
			}
			seen[string(ev.Header("pattern"))]++
		}
		if seen[""] != 1 || seen[pattern] != 1 {
			t.Errorf("came %v", seen)
		}
	}
}

// TestSlowConsumer: what does not fit is dropped, by number and by size, and the
// report says how much; what fits is run.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]map[string]any{"number": {"pending": 10}, "size": {"pendingBytes": 10 * (1000 + 5)}} {
		b := newBroker(t, shared.Redis(t))
		b.channel = fmt.Sprintf("%05d", number.Add(1))
		release := make(chan struct{})
		t.Cleanup(func() { sendOff(release) })
		limit["channels"] = []string{b.channel}
		spec := function.Trigger{Delivery: function.Delivery{Prefetch: 1, MaxInFlight: 1}}
		r := run(t, b.trigger(t, settings(t, spec), limit), func(*event.Event) error {
			<-release
			return nil
		})
		body := strings.Repeat("x", 1000)
		b.publish(t, b.channel, body)
		r.until("the first to run", func(r trigger.Report) bool { return r.InFlight == 1 })
		for range 30 {
			b.publish(t, b.channel, body)
		}
		r.until("the loss of 20, by "+name, func(r trigger.Report) bool {
			return strings.Contains(r.Problem, "slow consumer: 20 messages were lost")
		})
		sendOff(release)
		r.until("the rest", func(r trigger.Report) bool { return r.Done == 11 })
	}
}

func sendOff(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// TestLetters: what failed and what was answered is published.
func TestLetters(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t))
	listen := b.client.Subscribe(t.Context(), b.channel+".dead")
	defer listen.Close()
	_, err := listen.Receive(t.Context())
	must(t, err)
	spec := function.Trigger{Delivery: function.Delivery{Retry: &function.Retry{Attempts: 1}, OnFailure: &function.Destination{Kind: "topic", Topic: b.channel + ".dead"}}}
	run(t, b.Trigger(t, settings(t, spec)), func(*event.Event) error { return errors.New("no") })
	b.publish(t, b.channel, "bad")
	got, err := listen.ReceiveTimeout(t.Context(), patience)
	must(t, err)
	if m, ok := got.(*redis.Message); !ok || m.Payload != "bad" {
		t.Errorf("the letter is %v", got)
	}
}

// TestBlackhole: a server that is silent is given up, and found again.
func TestBlackhole(t *testing.T) {
	t.Parallel()
	b := newBroker(t, shared.Redis(t))
	r := run(t, b.trigger(t, settings(t, function.Trigger{}), map[string]any{"channels": []string{b.channel}, "timeout": "1s", "connectTimeout": "1s", "pingInterval": "300ms"}), nil)
	b.proxy.Blackhole()
	r.until("the loss", func(r trigger.Report) bool { return r.State == trigger.Connecting })
	must(t, b.proxy.Restore())
	r.until("the connection", func(r trigger.Report) bool { return r.State == trigger.Running })
	b.publish(t, b.channel, "after")
	if ev := r.next(); string(ev.Body) != "after" {
		t.Errorf("event %q", ev.Body)
	}
}

// TestKilled: a server that is killed is waited for, and what is sent afterwards
// comes.
func TestKilled(t *testing.T) {
	t.Parallel()
	server := servers.Redis(t)
	b := newBroker(t, server)
	r := run(t, b.Trigger(t, settings(t, function.Trigger{})), nil)
	for n := range 2 {
		must(t, server.Kill())
		r.until("the loss", func(r trigger.Report) bool { return r.State == trigger.Connecting && r.Problem != "" })
		must(t, server.Start())
		r.until("the connection", func(r trigger.Report) bool { return r.State == trigger.Running })
		must(t, b.client.Ping(t.Context()).Err())
		b.publish(t, b.channel, n)
		if ev := r.next(); string(ev.Body) != fmt.Sprint(n) {
			t.Errorf("event %q, want %d", ev.Body, n)
		}
	}
}
