package replication

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/trigger"
)

// TestKilled: a processor that is killed in the middle of transactions loses
// nothing; what it had run since it last stored its place runs again.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := shared(t)
	for from := 1; from < 2000; from += 250 {
		b.exec(t, fmt.Sprintf("INSERT INTO %s (body) SELECT generate_series(%d, %d)::text", b.table, from, from+249))
	}
	attributes, err := json.Marshal(b.rows(map[string]any{"keyColumn": "", "headers": []string{}}))
	must(t, err)
	stop := make(chan struct{})
	var more sync.WaitGroup
	more.Go(func() { // so that there is always something to run, however far a process came before it was killed
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
				if _, err := b.db.Exec("INSERT INTO " + b.table + " (body) VALUES ('1')"); err != nil {
					t.Errorf("insert: %v", err)
					return
				}
			}
		}
	})
	defer more.Wait()
	defer close(stop)
	seen := mortal.Run(t, b.direct+"\n"+string(attributes), 3, 300, 2000)
	if len(seen) != 2000 {
		t.Errorf("%d of 2000 rows have run", len(seen))
	}
}

// TestSlowFunction: while a function takes its time and nothing more is read, the
// server is told again and again that the reader is there.
func TestSlowFunction(t *testing.T) {
	t.Parallel()
	b := shared(t)
	hold := make(chan struct{})
	spec := settings(function.Trigger{})
	r := run(t, b.at(t, spec, b.rows(map[string]any{"statusInterval": "50ms"})), func(*event.Event) error { <-hold; return nil })
	t.Cleanup(r.end)
	defer close(hold)
	b.exec(t, "INSERT INTO "+b.table+" (body) SELECT repeat('x', 100) FROM generate_series(1, 30000)")
	r.until("the reader to be full", func(x trigger.Report) bool { return x.InFlight > 10_000 })
	told := func() (at time.Time) {
		err := b.db.QueryRow("SELECT r.reply_time FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.slot_name = $1 AND r.reply_time IS NOT NULL", b.slot).Scan(&at)
		if err != nil {
			return time.Time{}
		}
		return at
	}
	for range 3 {
		was := told()
		until(t, "the server to be told", func() bool { return told().After(was) })
	}
	if x := r.report(); x.Done != 0 {
		t.Errorf("%d are done, though the function holds the first", x.Done)
	}
}

// TestIdle: what other tables write does not hold up the server's log.
func TestIdle(t *testing.T) {
	t.Parallel()
	b := shared(t)
	r := run(t, b.at(t, settings(function.Trigger{}), b.rows(map[string]any{"statusInterval": "50ms"})), nil)
	r.until("the start", func(x trigger.Report) bool { return len(x.Shards) == 1 })
	b.exec(t, "CREATE TABLE "+b.table+"o AS SELECT generate_series(1, 1000) g")
	var end string
	must(t, b.db.QueryRow("SELECT pg_current_wal_insert_lsn()::text").Scan(&end))
	until(t, "the slot to go on", func() (on bool) {
		return b.db.QueryRow("SELECT confirmed_flush_lsn >= $2::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $1", b.slot, end).Scan(&on) == nil && on
	})
	if n := len(r.events()); n != 0 {
		t.Errorf("%d events", n)
	}
}

// TestSlotLost: a slot that has gone is told of, and made anew only where that is
// wanted.
func TestSlotLost(t *testing.T) {
	t.Parallel()
	b := shared(t)
	r := run(t, b.at(t, settings(function.Trigger{}), b.rows(nil)), nil)
	b.exec(t, "INSERT INTO "+b.table+" (body) VALUES ('1')")
	r.until("the row", func(x trigger.Report) bool { return x.Done == 1 })
	r.end()
	b.dropSlot(t)
	b.exec(t, "INSERT INTO "+b.table+" (body) VALUES ('lost')")
	r = run(t, b.at(t, settings(function.Trigger{}), b.rows(nil)), nil)
	r.until("the complaint", func(x trigger.Report) bool {
		return x.State == trigger.Connecting && strings.Contains(x.Problem, "slot "+b.slot+" has gone, and changes since") && strings.Contains(x.Problem, "slotLost: restart")
	})
	r.end()
	r = run(t, b.at(t, settings(function.Trigger{}), b.rows(map[string]any{"slotLost": "restart"})), nil)
	r.until("the start", func(x trigger.Report) bool { return len(x.Shards) == 1 })
	b.exec(t, "INSERT INTO "+b.table+" (body) VALUES ('2')")
	r.until("the row", func(x trigger.Report) bool { return x.Done == 1 })
	if ev := r.events()[0]; string(ev.Body) != "2" {
		t.Errorf("event %s", ev.Body)
	}
}

// TestTakesOver: a reader that is not heard of any more is ended at the server by
// the one that has the lease.
func TestTakesOver(t *testing.T) {
	t.Parallel()
	b := shared(t)
	first := run(t, b.at(t, settings(function.Trigger{}), b.rows(nil)), nil)
	first.until("the start", func(x trigger.Report) bool { return len(x.Shards) == 1 })
	b.proxy.Blackhole()
	second := settings(function.Trigger{URL: b.direct})
	r := run(t, b.at(t, second, b.rows(nil)), nil)
	b.exec(t, "INSERT INTO "+b.table+" (body) VALUES ('1')")
	r.until("the row", func(x trigger.Report) bool { return x.Done == 1 })
	must(t, b.proxy.Restore())
}

// TestTroubles: what the server does not do is told with what to do about it.
func TestTroubles(t *testing.T) {
	t.Parallel()
	b := shared(t)
	role, keyless := b.table+"reader", b.table+"k"
	b.exec(t, "CREATE ROLE "+role+" LOGIN")
	b.exec(t, "GRANT CREATE ON DATABASE postgres TO "+role)
	b.exec(t, "CREATE TABLE "+keyless+" (a INT)")
	b.exec(t, "CREATE TABLE "+b.places+"r (LIKE "+placesOf(t, b)+" INCLUDING ALL)")
	b.exec(t, "GRANT SELECT, INSERT, UPDATE ON "+b.places+"r TO "+role)
	reader := settings(function.Trigger{URL: b.direct, Username: role})
	plainly := settings(function.Trigger{})
	for name, c := range map[string]struct {
		s          trigger.Settings
		attributes map[string]any
		want       string
	}{
		"no right":         {reader, map[string]any{"places": b.places + "r", "slot": b.slot + "r"}, "ALTER ROLE ... REPLICATION"},
		"no right to read": {reader, map[string]any{"places": b.places + "r"}, "REPLICATION"},
		"places":           {reader, map[string]any{"places": b.places + "n"}, "it is made by: CREATE TABLE"},
		"owner":            {reader, map[string]any{"publication": b.publication + "n", "tables": []string{b.table}}, "name it in the attribute publication"},
		"no slot":          {plainly, map[string]any{"slot": b.slot + "n", "makeSlot": false}, "it is made by: SELECT pg_create_logical_replication_slot('" + b.slot + "n', 'pgoutput')"},
		"no key":           {plainly, map[string]any{"publication": b.publication + "k", "tables": []string{keyless}}, "has no primary key"},
		"not ours":         {plainly, map[string]any{"tables": []string{b.table}, "operations": []string{"insert"}}, "no trigger made it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, b.at(t, c.s, b.rows(c.attributes)), nil)
			r.until("the problem", func(r trigger.Report) bool { return strings.Contains(r.Problem, c.want) })
		})
	}
}

// placesOf has a table of places made.
func placesOf(t testing.TB, b *broker) string {
	t.Helper()
	must(t, (&places{db: b.db, table: b.places}).ready(t.Context()))
	return b.places
}

// TestEveryTable: a publication of every table does not tell of the places that the
// trigger itself keeps.
func TestEveryTable(t *testing.T) {
	t.Parallel()
	b := shared(t)
	base := fmt.Sprint("database", counter.Add(1))
	b.exec(t, "CREATE DATABASE "+base)
	b = &broker{db: openAt(t, b.direct+"?dbname="+base), places: "myelin_places", proxied: b.direct + "?dbname=" + base, slot: base}
	t.Cleanup(func() { b.dropSlot(t) })
	b.exec(t, "CREATE TABLE a (id INT PRIMARY KEY)")
	spec := function.Trigger{Delivery: function.Delivery{CheckpointInterval: quantity.Duration(20 * time.Millisecond)}}
	r := run(t, b.at(t, settings(spec), map[string]any{"tables": []string{"*"}, "slot": base, "statusInterval": "20ms"}), nil)
	r.until("the start", func(x trigger.Report) bool { return len(x.Shards) == 1 })
	b.exec(t, "CREATE TABLE b (id INT PRIMARY KEY)")
	b.exec(t, "INSERT INTO a VALUES (1)")
	b.exec(t, "INSERT INTO b VALUES (2)")
	r.until("the rows", func(x trigger.Report) bool { return x.Done == 2 })
	revision := func() (n int64) {
		must(t, b.db.QueryRow("SELECT max(revision) FROM myelin_places").Scan(&n))
		return n
	}
	var end string
	must(t, b.db.QueryRow("SELECT pg_current_wal_insert_lsn()::text").Scan(&end))
	until(t, "the slot to go on", func() (on bool) {
		return b.db.QueryRow("SELECT confirmed_flush_lsn >= $1::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $2", end, base).Scan(&on) == nil && on
	})
	// Whoever wrote a place for its own place would be at it for ever, and the slot
	// would have gone on a few times.
	if n := revision(); n > 10 {
		t.Errorf("places were kept %d times for 2 rows", n)
	}
	for _, c := range r.changes(2) {
		if c.Table != "a" && c.Table != "b" {
			t.Errorf("change of %s", c.Table)
		}
	}
}
