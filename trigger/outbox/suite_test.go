package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/sql/link"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const patience = 2 * time.Minute

var (
	pool    servers.Pool
	counter atomic.Int64
)

func TestMain(m *testing.M) {
	if mortal.Main(func(arg string) (trigger.Trigger, error) {
		url, attributes, _ := strings.Cut(arg, "\n")
		return Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{URL: url}}, []byte(attributes))
	}) {
		return
	}
	mortal.Beside()
	os.Exit(pool.Run(m))
}

// broker is a table of this check's own, and a way to it that can be cut.
type broker struct {
	addr, table string
	db          *sql.DB
	proxy       *fault.Proxy
}

func newBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{addr: pool.PostgreSQL(t).Addr, table: fmt.Sprint("outbox", counter.Add(1))}
	p, err := fault.Listen(b.addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	b.proxy = p
	s := trigger.Settings{}
	s.Spec.URL = b.url(b.addr)
	at, err := link.Parse(s, link.Options{Timeout: 30e9})
	must(t, err)
	b.db, err = at.Open(context.Background())
	must(t, err)
	t.Cleanup(func() { _ = b.db.Close() })
	b.exec(t, "CREATE TABLE "+b.table+" (id BIGSERIAL PRIMARY KEY, k TEXT, body TEXT, number TEXT, odd TEXT, visible_at TIMESTAMPTZ, attempts INTEGER, done_at TIMESTAMPTZ, failed TEXT)")
	return b
}

func (b *broker) url(addr string) string { return "postgres://postgres@" + addr + "/postgres" }

func (b *broker) exec(t testing.TB, text string) {
	t.Helper()
	_, err := b.db.Exec(text)
	must(t, err)
}

func (b *broker) count(t testing.TB, condition string) (n int) {
	t.Helper()
	must(t, b.db.QueryRow("SELECT COUNT(*) FROM "+b.table+" WHERE "+condition).Scan(&n))
	return n
}

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"table": b.table, "bodyColumn": "body", "keyColumn": "k", "headers": []string{"number", "odd"}, "interval": "20ms", "visibility": "10s"}
	maps.Copy(m, more)
	return m
}

func (b *broker) at(t testing.TB, s trigger.Settings, addr string, attributes map[string]any) trigger.Trigger {
	t.Helper()
	s.Spec.URL = b.url(addr)
	raw, err := json.Marshal(attributes)
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

// Trigger implements triggertest.Broker.
func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return b.at(t, s, b.proxy.Addr(), b.attributes(nil))
}

// Produce implements triggertest.Broker.
func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	values := make([]string, len(rs))
	for i, r := range rs {
		values[i] = fmt.Sprintf("('%s','%s','%s','%s')", r.Key, r.Body, r.Headers["number"], r.Headers["odd"])
	}
	b.exec(t, "INSERT INTO "+b.table+" (k, body, number, odd) VALUES "+strings.Join(values, ","))
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

// Broken implements triggertest.Breaker.
func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	absent := fmt.Sprint("absent", counter.Add(1))
	lacks := fmt.Sprint("lacks", counter.Add(1))
	b.exec(t, "CREATE TABLE "+lacks+" (id INTEGER, body TEXT, k TEXT, number TEXT, odd TEXT, visible_at TIMESTAMPTZ)")
	return map[string]triggertest.Broken{
		"table":  {Trigger: b.at(t, s, b.proxy.Addr(), b.attributes(map[string]any{"table": absent})), Says: absent, Mend: func() { b.exec(t, "CREATE TABLE "+absent+" AS SELECT * FROM "+b.table) }},
		"column": {Trigger: b.at(t, s, b.proxy.Addr(), b.attributes(map[string]any{"table": lacks})), Says: "attempts", Mend: func() { b.exec(t, "ALTER TABLE "+lacks+" ADD attempts INTEGER") }},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSuite(t *testing.T) {
	pool.PostgreSQL(t)
	triggertest.QueueSuite(t, triggertest.Guarantees{BrokerRetries: true, Parallel: true, Patience: patience, New: func(t testing.TB) triggertest.Broker { return newBroker(t) }})
}

// running is a trigger that runs.
type running struct {
	trigger.Reporter
	t   testing.TB
	end func()
}

func run(t testing.TB, trg trigger.Trigger, h trigger.HandlerFunc) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- trg.Run(ctx, h) }()
	r := &running{Reporter: trg.(trigger.Reporter), t: t, end: sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})}
	t.Cleanup(r.end)
	return r
}

func (r *running) until(what string, ok func(trigger.Report) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(r.Report()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v", what, r.Report())
		}
	}
}

func await(t testing.TB, inside <-chan struct{}) {
	t.Helper()
	select {
	case <-inside:
	case <-time.After(patience):
		t.Fatal("the row was not run")
	}
}

func nothing(context.Context, *event.Event, *event.Response) error { return nil }

func settings(d function.Delivery) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{Delivery: d}, Workers: 2}
}

// TestShared: several processors share a table; no row is run twice, and none is
// with two of them.
func TestShared(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	const n = 600
	b.exec(t, fmt.Sprintf("INSERT INTO %s (body) SELECT generate_series(1, %d)::text", b.table, n))
	var mu sync.Mutex
	seen := map[string]int{}
	h := func(_ context.Context, ev *event.Event, _ *event.Response) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(ev.Body)]++
		return nil
	}
	var rs []*running
	for range 3 {
		rs = append(rs, run(t, b.at(t, settings(function.Delivery{}), b.addr, b.attributes(map[string]any{"visibility": "1m"})), h))
	}
	rs[0].until("all rows", func(trigger.Report) bool { return b.count(t, "TRUE") == 0 })
	mu.Lock()
	defer mu.Unlock()
	for body, k := range seen {
		if k != 1 {
			t.Errorf("row %s ran %d times", body, k)
		}
	}
	if len(seen) != n {
		t.Errorf("%d rows have run, want %d", len(seen), n)
	}
}

// TestMarks: with columns for it, rows stay and are marked as done, or as failed
// with the reason, and the body is the row without the outbox's own columns.
func TestMarks(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.Produce(t, triggertest.Record{Body: "good"}, triggertest.Record{Body: "bad"})
	d := function.Delivery{OnFailure: &function.Destination{Kind: "broker"}}
	r := run(t, b.at(t, settings(d), b.addr, b.attributes(map[string]any{"done": "done_at", "failed": "failed", "bodyColumn": ""})), func(_ context.Context, ev *event.Event, _ *event.Response) error {
		var row map[string]any
		if err := json.Unmarshal(ev.Body, &row); err != nil || len(row) != 5 {
			t.Errorf("body %s, %v", ev.Body, err)
		}
		if row["body"] == "bad" {
			return event.Permanent(fmt.Errorf("never \x00 with %s", row["body"]))
		}
		return nil
	})
	r.until("both", func(trigger.Report) bool {
		return b.count(t, "done_at IS NOT NULL AND body = 'good'") == 1 && b.count(t, "failed LIKE '%never%bad%'") == 1
	})
	if rep := r.Report(); rep.Done+rep.Dead > 2 {
		t.Errorf("report %+v", rep)
	}
}

// TestLongRun: a row that is worked on for longer than its visibility stays with
// its processor; the ack of one that has become another's does not touch it.
func TestLongRun(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.Produce(t, triggertest.Record{Body: "long"})
	inside, release := make(chan struct{}, 10), make(chan struct{})
	defer close(release)
	h := func(context.Context, *event.Event, *event.Response) error {
		inside <- struct{}{}
		<-release
		return nil
	}
	attributes := b.attributes(map[string]any{"visibility": "1m"})
	r := run(t, b.at(t, settings(function.Delivery{}), b.addr, attributes), h)
	await(t, inside)
	b.exec(t, "UPDATE "+b.table+" SET visible_at = now() - interval '1 minute'") // as if nothing had been heard of it
	other := run(t, b.at(t, settings(function.Delivery{}), b.addr, attributes), h)
	await(t, inside)
	for range 2 {
		select {
		case release <- struct{}{}:
		case <-time.After(patience):
			t.Fatal("nobody waits to be released")
		}
	}
	r.until("both runs", func(rep trigger.Report) bool { return rep.Done+other.Report().Done == 2 })
	r.until("the row to be done", func(trigger.Report) bool { return b.count(t, "TRUE") == 0 })
}

// TestListen: a notification has the rows taken long before the interval is over.
func TestListen(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	r := run(t, b.at(t, settings(function.Delivery{}), b.addr, b.attributes(map[string]any{"interval": "1h", "listen": b.table})), nothing)
	r.until("the session", func(r trigger.Report) bool { return r.State == trigger.Running })
	for i := range 3 {
		b.Produce(t, triggertest.Record{Body: "x"})
		b.exec(t, "NOTIFY "+b.table)
		r.until("the row", func(r trigger.Report) bool { return r.Done == uint64(i+1) })
	}
}

// TestAttemptsAreKept: attempts are counted in the table, across processors.
func TestAttemptsAreKept(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.exec(t, "INSERT INTO "+b.table+" (body, attempts) VALUES ('poison', 4)")
	letters := make(chan *letter.Letter, 1)
	s := settings(function.Delivery{})
	s.Letters = box{letters}
	run(t, b.at(t, s, b.addr, b.attributes(nil)), func(context.Context, *event.Event, *event.Response) error { return fmt.Errorf("no") })
	select {
	case l := <-letters:
		if l.Attempts != 5 {
			t.Errorf("%d attempts", l.Attempts)
		}
	case <-time.After(patience):
		t.Error("no letter")
	}
}

type box struct{ letters chan *letter.Letter }

func (b box) Send(_ context.Context, l *letter.Letter) error {
	c := *l
	b.letters <- &c
	return nil
}

// TestKilled: rows of a processor that is killed come again.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.exec(t, "INSERT INTO "+b.table+" (body) SELECT generate_series(1, 1000)::text")
	attributes, err := json.Marshal(b.attributes(map[string]any{"visibility": "1s"}))
	must(t, err)
	seen := mortal.Run(t, b.url(b.addr)+"\n"+string(attributes), 3, 200, 1000)
	again := 0
	for _, n := range seen {
		again += n - 1
	}
	if len(seen) != 1000 {
		t.Errorf("%d of 1000 rows have run", len(seen))
	}
	r := run(t, b.at(t, settings(function.Delivery{}), b.addr, b.attributes(nil)), nothing) // what had run and was not acked
	r.until("all to be done", func(trigger.Report) bool { return b.count(t, "TRUE") == 0 })
	t.Logf("%d runs more than rows over 3 kills", again)
}

func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	const url = "postgres://me:secret@db/shop"
	for name, c := range map[string]struct{ url, attributes, want string }{
		"no url":     {"", `{"table":"a"}`, "url: is required"},
		"mysql":      {"mysql://me@db/shop", `{"table":"a"}`, "url: is not of PostgreSQL"},
		"no table":   {url, `{}`, "table: is required"},
		"misspelt":   {url, `{"table":"a","visibilty":"1s"}`, `visibility`},
		"visibility": {url, `{"table":"a","visibility":"1ms"}`, "visibility: is 1ms"},
		"id":         {url, `{"table":"a","id":""}`, "id: is"},
	} {
		_, err := Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{URL: c.url}}, []byte(c.attributes))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
}
