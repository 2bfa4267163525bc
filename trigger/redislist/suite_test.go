package redislist

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
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
	"github.com/myelin-run/myelin/trigger/letter"
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
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, NoHeaders: true, Parallel: true, New: func(t testing.TB) triggertest.Broker {
		return newBroker(t, server, 1)
	}})
}

// TestSuiteOfThree: several lists are one queue, and elements may be taken from the
// other end.
func TestSuiteOfThree(t *testing.T) {
	server := shared.Redis(t)
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, NoHeaders: true, Parallel: true, Brief: true, New: func(t testing.TB) triggertest.Broker {
		b := newBroker(t, server, 3)
		b.end = right
		return b
	}})
}

func fresh() string { return fmt.Sprintf("l%d", number.Add(1)) }

// broker is lists, and a way to them that can be cut.
type broker struct {
	server *servers.Server
	lists  []string
	end    string
	proxy  *fault.Proxy
	client *redis.Client // past the proxy
}

func newBroker(t testing.TB, s *servers.Server, n int) *broker {
	t.Helper()
	p, err := fault.Listen(s.Addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	b := &broker{server: s, end: left, proxy: p, client: connect(t, s)}
	for range n {
		b.lists = append(b.lists, fresh())
	}
	return b
}

func connect(t testing.TB, s *servers.Server) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr, Username: s.User, Password: s.Password, TLSConfig: s.TLS, PoolSize: 2})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"lists": b.lists, "end": b.end, "lease": "2s", "reclaimInterval": "200ms"}
	for k, v := range more {
		m[k] = v
	}
	return m
}

func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return b.at(t, s, "redis://"+b.proxy.Addr(), b.attributes(nil))
}

func (b *broker) at(t testing.TB, s trigger.Settings, url string, attributes map[string]any) trigger.Trigger {
	t.Helper()
	s.Spec.Kind, s.Spec.URL = Kind, url
	raw, err := json.Marshal(attributes)
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

// Produce implements [triggertest.Broker].
func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	p := b.client.Pipeline()
	for i, r := range rs {
		b.push(p, b.lists[i%len(b.lists)], r.Body)
	}
	_, err := p.Exec(context.Background())
	must(t, err)
}

func (b *broker) push(c redis.Cmdable, list string, values ...any) {
	if b.end == right {
		c.LPush(context.Background(), list, values...)
		return
	}
	c.RPush(context.Background(), list, values...)
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	text, url := fresh(), "redis://"+b.proxy.Addr()
	wrong := s
	wrong.Spec.Username, wrong.Spec.Password = "nobody", quantity.Secret("no")
	ctx := context.Background()
	must(t, b.client.Set(ctx, text, "x", 0).Err())
	return map[string]triggertest.Broken{
		"password": {Trigger: b.at(t, wrong, url, b.attributes(nil)), Says: `user "nobody" or its password is refused`},
		"no list": {
			Trigger: b.at(t, s, url, b.attributes(map[string]any{"lists": []string{text}})),
			Mend:    func() { must(t, b.client.Del(ctx, text).Err()) },
			Says:    fmt.Sprintf("the key %q is no list but a string", text),
		},
		"database": {Trigger: b.at(t, s, url+"/99", b.attributes(nil)), Says: "DB index is out of range"},
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

func settings(t testing.TB, spec function.Trigger) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Spec: spec, Workers: 4, Letters: lost{t}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// lost takes letters that nobody expects.
type lost struct{ t testing.TB }

func (l lost) Send(_ context.Context, x *letter.Letter) error {
	l.t.Errorf("a letter: %+v", x)
	return nil
}

// beside are the keys of a list but itself.
func (b *broker) beside(t testing.TB, list string) []string {
	t.Helper()
	all, err := b.client.Keys(context.Background(), prefix+list+":*").Result()
	must(t, err)
	slices.Sort(all)
	return all
}

// content is what is in a list.
func (b *broker) content(t testing.TB, list string) []string {
	t.Helper()
	all, err := b.client.LRange(context.Background(), list, 0, -1).Result()
	must(t, err)
	return all
}
