package replication

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
)

// TestServer is what happens to a server: it does not write enough into its log, it
// is killed, and it removes the log that the slot needs.
func TestServer(t *testing.T) {
	t.Parallel()
	server := servers.PostgreSQL(t, servers.Synced())
	b := &broker{db: open(t, server.Addr), table: "records", publication: "pub", places: "places", slot: "own", direct: urlOf(server.Addr), proxied: urlOf(server.Addr)}
	b.exec(t, "CREATE TABLE records (id BIGSERIAL PRIMARY KEY, k TEXT, body TEXT, number TEXT, odd TEXT)")
	b.writesTooLittle(t, server)
	b.isKilled(t, server)
	b.removesLog(t)
}

// again starts the server once more.
func (b *broker) again(t *testing.T, server *servers.Server, end func() error) {
	t.Helper()
	must(t, end())
	must(t, server.Start())
	until(t, "the database", func() bool { return b.db.Ping() == nil })
}

func (b *broker) ofTables(more map[string]any) map[string]any {
	m := b.rows(more)
	m["tables"] = []string{"records"}
	return m
}

// writesTooLittle: a server that does not write enough into its log is told of, and
// what is told to do about it does it.
func (b *broker) writesTooLittle(t *testing.T, server *servers.Server) {
	t.Helper()
	b.exec(t, "ALTER SYSTEM SET wal_level = replica")
	b.again(t, server, server.Kill)
	r := run(t, b.at(t, settings(function.Trigger{}), b.ofTables(nil)), nil)
	r.until("the problem", func(x trigger.Report) bool {
		return strings.Contains(x.Problem, "wal_level is replica; set it to logical and restart the server: ALTER SYSTEM SET wal_level = logical")
	})
	b.exec(t, "ALTER SYSTEM SET wal_level = logical")
	b.again(t, server, server.Kill)
	r.until("the start", func(x trigger.Report) bool { return x.State == trigger.Running && len(x.Shards) == 1 })
	r.end()
}

// isKilled: the server dies again and again under load; no change is lost, and the
// order of those that come first is kept.
func (b *broker) isKilled(t *testing.T, server *servers.Server) {
	t.Helper()
	spec := function.Trigger{Delivery: function.Delivery{CheckpointInterval: quantity.Duration(50 * time.Millisecond)}}
	r := run(t, b.at(t, settings(spec), b.ofTables(nil)), nil)
	r.until("the start", func(x trigger.Report) bool { return x.State == trigger.Running && len(x.Shards) == 1 })
	const n, kills = 400, 3
	for i := range kills {
		for from := i * n / kills; from < (i+1)*n/kills; {
			to := min(from+10, (i+1)*n/kills)
			b.exec(t, fmt.Sprintf("INSERT INTO records (body) SELECT generate_series(%d, %d)::text", from, to-1))
			from = to
		}
		b.again(t, server, server.Kill)
	}
	distinct := func() map[string]int {
		m := map[string]int{}
		for _, ev := range r.events() {
			m[string(ev.Body)]++
		}
		return m
	}
	r.until("all rows", func(trigger.Report) bool { return len(distinct()) == n })
	seen := map[string]bool{}
	for _, ev := range r.events() {
		if body := string(ev.Body); !seen[body] {
			if want := fmt.Sprint(len(seen)); body != want {
				t.Fatalf("event %s came first where %s should have", body, want)
			}
			seen[body] = true
		}
	}
	t.Logf("%d runs of %d rows over %d kills of the server", len(r.events()), n, kills)
	r.end()
}

// removesLog: a slot whose log the server removed is told of, and made anew.
func (b *broker) removesLog(t *testing.T) {
	t.Helper()
	b.exec(t, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
	b.exec(t, "SELECT pg_reload_conf()")
	until(t, "the slot to be invalidated", func() (lost bool) {
		b.exec(t, "INSERT INTO records (body) SELECT repeat('x', 1000) FROM generate_series(1, 100)")
		b.exec(t, "SELECT pg_switch_wal()")
		b.exec(t, "CHECKPOINT")
		return b.db.QueryRow("SELECT wal_status = 'lost' FROM pg_replication_slots").Scan(&lost) == nil && lost
	})
	r := run(t, b.at(t, settings(function.Trigger{}), b.ofTables(nil)), nil)
	r.until("the complaint", func(x trigger.Report) bool {
		return strings.Contains(x.Problem, "was invalidated: the server removed the log that it needs")
	})
	r.end()
	r = run(t, b.at(t, settings(function.Trigger{}), b.ofTables(map[string]any{"slotLost": "restart"})), nil)
	r.until("the start", func(x trigger.Report) bool { return len(x.Shards) == 1 })
	b.exec(t, "INSERT INTO records (body) VALUES ('2')")
	r.until("the row", func(x trigger.Report) bool { return x.Done == 1 })
}
