package replication

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// shared is a broker at the server that most tests share.
func shared(t testing.TB) *broker {
	t.Helper()
	return newBroker(t, pool.PostgreSQL(t).Addr)
}

// TestChanges: each kind of change is an event that tells what is new and what was.
func TestChanges(t *testing.T) {
	t.Parallel()
	b := shared(t)
	r := run(t, b.at(t, settings(function.Trigger{}), b.changes(nil)), nil)
	b.exec(t, "INSERT INTO "+b.table+" (k, body) VALUES ('a', 'one')")
	b.exec(t, "UPDATE "+b.table+" SET body = 'two'")
	b.exec(t, "UPDATE "+b.table+" SET id = 7")
	b.exec(t, "DELETE FROM "+b.table)
	b.exec(t, "ALTER TABLE "+b.table+" REPLICA IDENTITY FULL")
	b.exec(t, "INSERT INTO "+b.table+" (id, k, body) VALUES (8, 'b', 'three')")
	b.exec(t, "UPDATE "+b.table+" SET body = NULL")
	b.exec(t, "TRUNCATE "+b.table+" RESTART IDENTITY")
	cs := r.changes(7)
	for i, want := range []struct{ operation, old, new, key string }{
		{"insert", ``, `{"body":"one","id":1,"k":"a","number":null,"odd":null}`, "1"},
		{"update", ``, `{"body":"two","id":1,"k":"a","number":null,"odd":null}`, "1"},
		{"update", `{"id":1}`, `{"body":"two","id":7,"k":"a","number":null,"odd":null}`, "7"},
		{"delete", `{"id":7}`, ``, "7"},
		{"insert", ``, `{"body":"three","id":8,"k":"b","number":null,"odd":null}`, "8"},
		{"update", `{"body":"three","id":8,"k":"b","number":null,"odd":null}`, `{"body":null,"id":8,"k":"b","number":null,"odd":null}`, "8"},
		{"truncate", ``, ``, "public." + b.table},
	} {
		c, ev := cs[i], r.events()[i]
		if c.Operation != want.operation || c.Schema != "public" || c.Table != b.table || c.XID == 0 || c.Time.IsZero() || text(c.Old) != want.old || text(c.New) != want.new {
			t.Errorf("change %d is %s, want %+v", i, ev.Body, want)
		}
		if string(ev.Key) != want.key || string(ev.Header("operation")) != want.operation || string(ev.Header("Table")) != "public."+b.table || string(ev.ContentType) != "application/json" {
			t.Errorf("change %d has the key %s and the headers %s, %s", i, ev.Key, ev.Header("operation"), ev.Header("table"))
		}
		if at, err := parseLSN(c.CommitLSN); err != nil || string(ev.ID) != at.String()+"-0" || !ev.Time.Equal(c.Time) {
			t.Errorf("change %d has the id %s, commit %s (%v) and the times %v and %v", i, ev.ID, c.CommitLSN, err, ev.Time, c.Time)
		}
		if _, err := parseLSN(c.LSN); err != nil {
			t.Error(err)
		}
	}
	if c := cs[6]; !c.RestartIdentity || c.Cascade {
		t.Errorf("truncation %+v", c)
	}
}

func text(row map[string]any) string {
	if row == nil {
		return ""
	}
	b, err := json.Marshal(row)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// TestTypes: a value is what JSON has for its type, and exact.
func TestTypes(t *testing.T) {
	t.Parallel()
	b := shared(t)
	b.exec(t, "CREATE TABLE "+b.table+`t (id BIGINT PRIMARY KEY, f FLOAT8, n NUMERIC, y BYTEA, t BOOL, j JSONB, z TIMESTAMPTZ, w TIMESTAMP, d DATE, i INTERVAL, a INT[], u TEXT)`)
	b.exec(t, "ALTER PUBLICATION "+b.publication+" ADD TABLE "+b.table+"t")
	r := run(t, b.at(t, settings(function.Trigger{}), b.changes(nil)), nil)
	b.exec(t, "INSERT INTO "+b.table+`t VALUES (9223372036854775807, 0.1, 12345678901234567890.123456789, '\x00ff', true, '{"a": [1, "x"]}', '2026-03-01 12:00:00.123456+01', '2026-03-01 12:00:00', '2026-03-01', '1 day 02:00', '{1,2}', E'q"\\\n€')`)
	b.exec(t, "INSERT INTO "+b.table+`t VALUES (-1, 'NaN', 'NaN', '', false, 'null', 'infinity', '0044-03-15 00:00:00 BC', 'infinity', '0', '{}', '')`)
	r.changes(2)
	for i, want := range []string{
		`{"id":9223372036854775807,"f":0.1,"n":"12345678901234567890.123456789","y":"AP8=","t":true,"j":{"a": [1, "x"]},"z":"2026-03-01T11:00:00.123456Z","w":"2026-03-01T12:00:00","d":"2026-03-01","i":"P1DT2H","a":"{1,2}","u":"q\"\\\u000a€"}`,
		`{"id":-1,"f":"NaN","n":"NaN","y":"","t":false,"j":null,"z":"infinity","w":"0044-03-15 00:00:00 BC","d":"infinity","i":"PT0S","a":"{}","u":""}`,
	} {
		if body := string(r.events()[i].Body); !strings.HasSuffix(body, `"new":`+want+"}") {
			t.Errorf("body %s, want %s", body, want)
		}
	}
	r.end()
	r = run(t, b.at(t, settings(function.Trigger{}), b.rows(map[string]any{"bodyColumn": "j", "keyColumn": "id", "headers": []string{"y", "z", "n"}})), nil)
	b.exec(t, "INSERT INTO "+b.table+`t (id, j, y, z, n) VALUES (5, '[1]', '\x00ff', '2026-03-01 12:00:00+00', 1.50)`)
	r.until("the row", func(x trigger.Report) bool { return x.Done == 1 })
	ev := r.events()[0]
	if string(ev.Body) != "[1]" || string(ev.ContentType) != "application/json" || string(ev.Key) != "5" || string(ev.Header("y")) != "\x00\xff" || string(ev.Header("z")) != "2026-03-01T12:00:00Z" || string(ev.Header("n")) != "1.50" {
		t.Errorf("event %s of %s, key %s, headers %q %s %s", ev.Body, ev.ContentType, ev.Key, ev.Header("y"), ev.Header("z"), ev.Header("n"))
	}
}

// TestUnchanged: a large value that was not written is named, or taken from the row
// as it was where that is told.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	b := shared(t)
	b.exec(t, "ALTER TABLE "+b.table+" ALTER body SET STORAGE EXTERNAL")
	r := run(t, b.at(t, settings(function.Trigger{}), b.changes(nil)), nil)
	large := strings.Repeat("x", 10_000)
	b.exec(t, "INSERT INTO "+b.table+" (k, body) VALUES ('a', $1)", large)
	b.exec(t, "UPDATE "+b.table+" SET k = 'b'")
	b.exec(t, "ALTER TABLE "+b.table+" REPLICA IDENTITY FULL")
	b.exec(t, "UPDATE "+b.table+" SET k = 'c'")
	cs := r.changes(3)
	if c := cs[0]; c.New["body"] != large || len(c.Unchanged) > 0 {
		t.Errorf("insert with %d columns, unchanged %v", len(c.New), c.Unchanged)
	}
	if _, there := cs[1].New["body"]; there || !slices.Equal(cs[1].Unchanged, []string{"body"}) || cs[1].New["k"] != "b" {
		t.Errorf("update with %d columns, unchanged %v", len(cs[1].New), cs[1].Unchanged)
	}
	if c := cs[2]; c.New["body"] != large || len(c.Unchanged) > 0 || c.Old["body"] != large {
		t.Errorf("update of a whole row with %d columns, unchanged %v", len(c.New), c.Unchanged)
	}
}

// TestTableChanges: an event behind a change of the table has its new columns, and
// one before it the old ones, also in a reader that comes later.
func TestTableChanges(t *testing.T) {
	t.Parallel()
	b := shared(t)
	b.exec(t, "INSERT INTO "+b.table+" (k) VALUES ('a')")
	b.exec(t, "ALTER TABLE "+b.table+" ADD more INT")
	b.exec(t, "ALTER TABLE "+b.table+" DROP odd")
	b.exec(t, "INSERT INTO "+b.table+" (k, more) VALUES ('b', 5)")
	r := run(t, b.at(t, settings(function.Trigger{}), b.changes(nil)), nil)
	r.changes(2)
	b.exec(t, "ALTER TABLE "+b.table+" RENAME more TO most")
	b.exec(t, "INSERT INTO "+b.table+" (k, most) VALUES ('c', 6)")
	for i, want := range []string{`{"body":null,"id":1,"k":"a","number":null,"odd":null}`, `{"body":null,"id":2,"k":"b","more":5,"number":null}`, `{"body":null,"id":3,"k":"c","most":6,"number":null}`} {
		if c := r.changes(3)[i]; text(c.New) != want {
			t.Errorf("change %d: %s, want %s", i, text(c.New), want)
		}
	}
}

// TestOperations: only the wanted kinds become events, and a publication is made of
// tables and changed with them. Keys of several columns, and of none, are told.
func TestOperations(t *testing.T) {
	t.Parallel()
	b := shared(t)
	pairs, none := b.table+"p", b.table+"n"
	b.exec(t, "CREATE TABLE "+pairs+" (a TEXT, b INT, PRIMARY KEY (a, b))")
	b.exec(t, "CREATE TABLE "+none+" (a TEXT)")
	b.exec(t, "ALTER TABLE "+none+" REPLICA IDENTITY FULL")
	b.dropSlot(t) // the trigger makes one behind the publication
	attributes := map[string]any{"publication": b.publication + "o", "tables": []string{pairs}, "operations": []string{"insert", "delete"}}
	r := run(t, b.at(t, settings(function.Trigger{}), b.changes(attributes)), nil)
	r.until("the start", func(x trigger.Report) bool { return len(x.Shards) == 1 })
	b.exec(t, "INSERT INTO "+pairs+" VALUES ('x', 1), ('y\"', 2)")
	b.exec(t, "UPDATE "+pairs+" SET b = 3 WHERE b = 1")
	b.exec(t, "DELETE FROM "+pairs+" WHERE b = 3")
	r.changes(3)
	r.end()
	attributes["tables"] = []string{pairs, "public." + none}
	q := run(t, b.at(t, settings(function.Trigger{}), b.changes(attributes)), nil)
	q.until("the start", func(x trigger.Report) bool { return len(x.Shards) == 1 })
	b.exec(t, "INSERT INTO "+none+" VALUES ('z')")
	q.changes(1)
	keys := make([]string, 0, 4)
	for _, ev := range append(r.events(), q.events()...) {
		keys = append(keys, string(ev.Header("operation"))+" "+string(ev.Key))
	}
	if want := []string{`insert ["x","1"]`, `insert ["y\"","2"]`, `delete ["x","3"]`, "insert public." + none}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	b.exec(t, "DROP PUBLICATION "+b.publication+"o")
}

// TestLargeTransaction: a transaction of any length is read a piece at a time, with
// what is held bounded, and comes whole and in order.
func TestLargeTransaction(t *testing.T) {
	t.Parallel()
	b := shared(t)
	const n, most = 40_000, 10_000 + 2*mostRows
	hold := make(chan struct{})
	release := func() { close(hold) }
	r := run(t, b.at(t, settings(function.Trigger{}), b.rows(map[string]any{"headers": []string{}})), func(*event.Event) error { <-hold; return nil })
	t.Cleanup(r.end)
	defer func() { release() }()
	b.exec(t, fmt.Sprintf("INSERT INTO %s (k, body) SELECT g %% 10, g FROM generate_series(0, %d) g", b.table, n-1))
	r.until("the reader to be full", func(x trigger.Report) bool {
		if x.InFlight > most {
			t.Fatalf("%d are in flight, want at most %d", x.InFlight, most)
		}
		return x.InFlight > 10_000
	})
	release()
	release = func() {}
	r.until("all to be done", func(x trigger.Report) bool { return x.Done == n })
	for i, ev := range r.events() {
		if string(ev.Body) != fmt.Sprint(i) {
			t.Fatalf("event %d is %s", i, ev.Body)
		}
	}
}
