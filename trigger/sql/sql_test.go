package sql

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

const patience = 2 * time.Minute

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

// running is a trigger that runs, and the events that its function saw.
type running struct {
	trigger.Reporter
	t    testing.TB
	mu   sync.Mutex
	seen []*event.Event
	end  func()
}

func run(t testing.TB, trg trigger.Trigger) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Reporter: trg.(trigger.Reporter), t: t}
	done := make(chan error, 1)
	go func() {
		done <- trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen = append(r.seen, ev.Clone())
			return nil
		}))
	}()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.end)
	return r
}

func (r *running) events() []*event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*event.Event(nil), r.seen...)
}

func (r *running) until(what string, ok func(trigger.Report) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(r.Report()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v", what, r.Report())
		}
	}
}

func settings(spec function.Trigger) trigger.Settings {
	return trigger.Settings{Name: "in", Function: "f", Spec: spec, Workers: 2}
}

var kinds = map[string]func(testing.TB) kind{"postgresql": postgres, "mariadb": mariadb, "sqlite": sqlite}

// TestTies: rows of one watermark are neither lost nor run twice, wherever a page
// ends, and across a restart.
func TestTies(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, k(t))
			b.exec(t, "CREATE TABLE "+b.table+"t (name VARCHAR(10) PRIMARY KEY, at "+b.types[1]+")")
			add := func(from, to int) {
				var rows []string
				for i := from; i < to; i++ {
					rows = append(rows, fmt.Sprintf("('n%03d', '2026-03-01 12:00:0%d.123456')", i, i/17))
				}
				b.exec(t, "INSERT INTO "+b.table+"t VALUES "+strings.Join(rows, ","))
			}
			attributes := b.attributes(map[string]any{"table": b.table + "t", "watermark": "at", "key": "name", "bodyColumn": "name", "keyColumn": "", "headers": []string{}, "pageSize": 5})
			add(0, 41)
			r := run(t, b.at(t, settings(function.Trigger{}), attributes))
			r.until("the first rows", func(r trigger.Report) bool { return r.Done == 41 })
			r.end()
			add(41, 60)
			s := run(t, b.at(t, settings(function.Trigger{}), attributes))
			s.until("the rest", func(r trigger.Report) bool { return r.Done == 19 })
			for i, ev := range append(r.events(), s.events()...) {
				if want := fmt.Sprintf("n%03d", i); string(ev.Body) != want {
					t.Errorf("event %d is %s, want %s", i, ev.Body, want)
				}
				if want := time.Date(2026, 3, 1, 12, 0, i/17, 123456000, time.UTC); !ev.Time.Equal(want) {
					t.Errorf("event %d is of %v, want %v", i, ev.Time, want)
				}
			}
		})
	}
}

// TestRows: the body is the row as JSON, of columns or of a query, and a header that
// is null is left out.
func TestRows(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, k(t))
			b.exec(t, "CREATE TABLE "+b.table+"r (id "+b.types[0]+", name VARCHAR(20), price DECIMAL(10,2), more "+b.types[2]+", lacks VARCHAR(5))")
			b.exec(t, "INSERT INTO "+b.table+`r (name, price, more) VALUES ('a"b', 1.50, '{"a": 1}')`)
			for what, attributes := range map[string]map[string]any{
				"table": {"table": b.table + "r"},
				"query": {"table": "", "query": "SELECT id, name, price, more, lacks FROM " + b.table + "r WHERE price > 1"},
			} {
				attributes["bodyColumn"], attributes["keyColumn"], attributes["headers"], attributes["places"] = "", "name", []string{"id", "lacks"}, b.places+what
				r := run(t, b.at(t, settings(function.Trigger{}), b.attributes(attributes)))
				r.until("the row", func(r trigger.Report) bool { return r.Done == 1 })
				ev := r.events()[0]
				var row map[string]any
				if err := json.Unmarshal(ev.Body, &row); err != nil || row["name"] != `a"b` || row["id"] != 1.0 || row["lacks"] != nil || fmt.Sprint(row["price"])[:3] != "1.5" {
					t.Errorf("%s: body %s, %v", what, ev.Body, err)
				}
				if string(ev.Key) != `a"b` || string(ev.Header("id")) != "1" || ev.Header("lacks") != nil || string(ev.ContentType) != "application/json" {
					t.Errorf("%s: key %s, id %s", what, ev.Key, ev.Header("id"))
				}
			}
		})
	}
}

// TestLateCommit: a row whose transaction commits after one behind it is run before
// it.
func TestLateCommit(t *testing.T) {
	t.Parallel()
	b := newBroker(t, postgres(t))
	cfg := defaults()
	cfg.Table, cfg.Watermark, cfg.Places, cfg.BodyColumn = b.table, "id", b.places, "body"
	cfg.Settle = 5e8
	s := sourceOf(t, b, cfg)
	n, err := s.Connect(t.Context())
	must(t, err)
	defer func() { must(t, n.Close(context.Background())) }()
	late, err := b.db.Begin()
	must(t, err)
	_, err = late.Exec("INSERT INTO " + b.table + " (body) VALUES ('first')")
	must(t, err)
	b.exec(t, "INSERT INTO "+b.table+" (body) VALUES ('second')")
	page, err := n.Poll(t.Context(), "", 10)
	must(t, err)
	if len(page.Items) != 0 || page.Again <= 0 {
		t.Fatalf("page %+v, want nothing yet", page)
	}
	must(t, late.Commit())
	for end := time.Now().Add(patience); len(page.Items) == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		page, err = n.Poll(t.Context(), "", 10)
		must(t, err)
	}
	if len(page.Items) != 2 || string(page.Items[0].Event.Body) != "first" || string(page.Items[1].Event.Body) != "second" {
		t.Errorf("page %+v", page)
	}
}

func sourceOf(t testing.TB, b *broker, cfg Config) poll.Source {
	t.Helper()
	s := settings(function.Trigger{URL: b.url(b.addr)})
	at, err := link.Parse(s, link.Options{Timeout: cfg.Timeout.Std()})
	must(t, err)
	return &source{cfg: cfg, at: at, settings: s}
}

// TestNulls: rows without a watermark are told of, or nothing is read.
func TestNulls(t *testing.T) {
	t.Parallel()
	b := newBroker(t, postgres(t))
	b.exec(t, "INSERT INTO "+b.table+" (k, body) VALUES ('1', 'a'), (NULL, 'b'), ('2', 'c')")
	for how, want := range map[string]string{"report": "1 rows have no k, and are not read", "fail": "1 rows have no k, and are not read", "ignore": ""} {
		r := run(t, b.at(t, settings(function.Trigger{}), b.attributes(map[string]any{"watermark": "k", "nulls": how, "places": b.places + how})))
		if want != "" {
			r.until(how, func(r trigger.Report) bool { return strings.Contains(r.Problem, want) })
		}
		if how != "fail" {
			r.until("the others", func(r trigger.Report) bool { return r.Done == 2 })
		} else if n := len(r.events()); n != 0 {
			t.Errorf("%d events", n)
		}
		r.end()
	}
}

// TestTroubles: what the table or the database does not allow is told in a way that
// says what to do.
func TestTroubles(t *testing.T) {
	t.Parallel()
	b := newBroker(t, postgres(t))
	role := b.table + "reader"
	b.exec(t, "CREATE ROLE "+role+" LOGIN")
	b.exec(t, "GRANT SELECT ON "+b.table+" TO "+role)
	b.exec(t, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	b.exec(t, "INSERT INTO "+b.table+" (k, body) VALUES ('1', 'a'), ('1', 'b')")
	b.exec(t, "CREATE TABLE "+b.table+"f AS SELECT 1.5::float8 AS id")
	reader := settings(function.Trigger{URL: b.url(b.addr)})
	reader.Spec.Username = role
	for name, c := range map[string]struct {
		s          trigger.Settings
		attributes map[string]any
		want       string
	}{
		"no right": {reader, nil, "it is made by: CREATE TABLE"},
		"ties":     {settings(function.Trigger{}), map[string]any{"watermark": "k", "places": b.places + "t"}, "name a key that tells them apart"},
		"header":   {settings(function.Trigger{}), map[string]any{"headers": []string{"nothing"}, "places": b.places + "h"}, `no column "nothing": they have id, k, body`},
		"away":     {settings(function.Trigger{URL: b.url(unreachable)}), nil, "connect to database"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, b.at(t, c.s, b.attributes(c.attributes)))
			r.until("the problem", func(r trigger.Report) bool { return strings.Contains(r.Problem, c.want) })
			if n := len(r.events()); n != 0 {
				t.Errorf("%d events", n)
			}
		})
	}
}

// TestListen: a notification has the rows read long before the interval is over.
func TestListen(t *testing.T) {
	t.Parallel()
	b := newBroker(t, postgres(t))
	r := run(t, b.at(t, settings(function.Trigger{}), b.attributes(map[string]any{"interval": "1h", "listen": "News of " + b.table})))
	r.until("the shard", func(r trigger.Report) bool { return len(r.Shards) == 1 })
	for i := range 3 {
		b.exec(t, "INSERT INTO "+b.table+" (body) VALUES ('x')")
		b.exec(t, `NOTIFY "News of `+b.table+`"`)
		r.until("the row", func(r trigger.Report) bool { return r.Done == uint64(i+1) })
	}
}

// TestStartAt: reading begins at a time, or behind what is there.
func TestStartAt(t *testing.T) {
	t.Parallel()
	b := newBroker(t, postgres(t))
	b.exec(t, "CREATE TABLE "+b.table+"s (at TIMESTAMPTZ PRIMARY KEY)")
	for hour := range 5 {
		b.exec(t, fmt.Sprintf("INSERT INTO %ss VALUES ('2026-03-01 0%d:00:00Z')", b.table, hour))
	}
	for at, want := range map[string]uint64{"earliest": 5, "2026-03-01T02:00:00Z": 3, "2026-03-01T03:00:00+01:00": 3} {
		spec := function.Trigger{Delivery: function.Delivery{StartAt: at}}
		r := run(t, b.at(t, settings(spec), b.attributes(map[string]any{"table": b.table + "s", "watermark": "at", "bodyColumn": "", "keyColumn": "", "headers": []string{}, "places": fmt.Sprint(b.places, len(at))})))
		r.until(at, func(r trigger.Report) bool { return r.Done >= want })
		if r.end(); r.Report().Done != want {
			t.Errorf("from %s %d rows, want %d", at, r.Report().Done, want)
		}
	}
}

// TestKilled: a processor that is killed in the middle loses nothing; what it had
// run since it last stored its place runs again.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := newBroker(t, postgres(t))
	b.exec(t, "INSERT INTO "+b.table+" (body) SELECT generate_series(1, 2000)::text")
	attributes, err := json.Marshal(b.attributes(nil))
	must(t, err)
	seen := mortal.Run(t, b.url(b.addr)+"\n"+string(attributes), 4, 300, 2000)
	again := 0
	for _, n := range seen {
		again += n - 1
	}
	if len(seen) != 2000 {
		t.Errorf("%d of 2000 rows have run", len(seen))
	}
	t.Logf("%d runs more than rows over 4 kills", again)
}
