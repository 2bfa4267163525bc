package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the drivers
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
)

// table is a system whose function writes to a table, with which the trigger
// keeps what is done.
type table struct {
	System
	database
	db   *sql.DB
	seen map[int64]bool
	last int64
	// counts says that the function counts the events of each key.
	counts bool
}

// database is where the table is, and what is asked of it from outside.
type database struct {
	kind, url    string
	driver, name string
	create       string
	after        string // what there is behind a row
	wrong        string // how many counts are not those of the effects
}

func postgresql(t *testing.T) database {
	t.Helper()
	url := "postgres://postgres@" + servers.PostgreSQL(t).Addr + "/postgres"
	return database{kind: "postgresql", url: url, driver: "pgx", name: url,
		create: "CREATE TABLE effects (n BIGSERIAL PRIMARY KEY, body TEXT)",
		after:  "SELECT n, body FROM effects WHERE n > $1 ORDER BY n",
		wrong: `SELECT COUNT(*) FROM (SELECT split_part(body, ' ', 2) AS k, COUNT(*) AS n FROM effects GROUP BY k) e
			FULL JOIN myelin_state s ON s.name = 'k' || e.k WHERE convert_from(s.value, 'UTF8') IS DISTINCT FROM e.n::text`}
}

func mariadb(t *testing.T) database {
	t.Helper()
	addr := servers.MariaDB(t).Addr
	return database{kind: "mariadb", url: "mysql://root@" + addr + "/test", driver: "mysql", name: "root@tcp(" + addr + ")/test",
		create: "CREATE TABLE effects (n BIGINT AUTO_INCREMENT PRIMARY KEY, body TEXT)",
		after:  "SELECT n, body FROM effects WHERE n > ? ORDER BY n",
		wrong: `SELECT COUNT(*) FROM (SELECT SUBSTRING_INDEX(SUBSTRING_INDEX(body, ' ', 2), ' ', -1) AS k, COUNT(*) AS n FROM effects GROUP BY k) e
			LEFT JOIN myelin_state s ON s.name = CONCAT('k', e.k) WHERE s.value IS NULL OR CONVERT(s.value USING utf8mb4) <> CONCAT(e.n)`}
}

func newTable(t *testing.T, sys System, d database) *table {
	t.Helper()
	db, err := sql.Open(d.driver, d.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(d.create); err != nil {
		t.Fatal(err)
	}
	return &table{System: sys, database: d, db: db, seen: map[int64]bool{}}
}

// Trigger implements [System].
func (x *table) Trigger(processor string) string {
	return strings.Replace(x.System.Trigger(processor), "{kind:", "{exactlyOnce: {binding: orders}, kind:", 1)
}

// Function implements [Own].
func (x *table) Function() (name, more string) {
	return "store", fmt.Sprintf("dataBindings: {orders: {kind: %s, url: %q}}\n    state: {binding: orders}", x.kind, x.url)
}

// Copies implements [Copier].
func (x *table) Copies(ctx context.Context) (int, error) {
	if c, ok := x.System.(Copier); ok {
		return c.Copies(ctx)
	}
	return 0, nil
}

// Collect implements [Sinker].
func (x *table) Collect(ctx context.Context, b *ledger.Book) {
	for ctx.Err() == nil {
		_ = x.read(ctx, b, x.last-window)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// window is how many rows may be written by transactions that end in another
// order than they began in. What is further behind Finish finds.
const window = 5000

// Finish implements [Sinker]. It looks at the counts, too, where there are some.
func (x *table) Finish(ctx context.Context, b *ledger.Book) error {
	if err := x.read(ctx, b, 0); err != nil || !x.counts {
		return err
	}
	var off, all int
	if err := x.db.QueryRowContext(ctx, x.wrong).Scan(&off); err != nil {
		return err
	}
	if err := x.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM myelin_state").Scan(&all); err != nil {
		return err
	}
	if off > 0 || all == 0 {
		return fmt.Errorf("%d of %d counts are wrong", off, all)
	}
	return nil
}

func (x *table) read(ctx context.Context, b *ledger.Book, after int64) error {
	rows, err := x.db.QueryContext(ctx, x.after, after)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		var body string
		if err := rows.Scan(&n, &body); err != nil {
			return err
		}
		if !x.seen[n] {
			x.seen[n] = true
			x.last = max(x.last, n)
			b.Arrived([]byte(body))
		}
	}
	return rows.Err()
}

// Exactly once from Kafka to PostgreSQL: each event is in the table once, and
// those of a key in their order, and what the function counted by key is exact.
func TestKafkaToTable(t *testing.T) {
	x := newTable(t, newKafka(t, "", "in"), postgresql(t))
	x.counts = true
	Survive(t, x, Promise{Once: true})
}

// Exactly once from Kafka to MariaDB, likewise.
func TestKafkaToMariaDB(t *testing.T) {
	x := newTable(t, newKafka(t, "", "in"), mariadb(t))
	x.counts = true
	Survive(t, x, Promise{Once: true})
}

// Exactly once from JetStream to PostgreSQL.
func TestJetStreamToTable(t *testing.T) {
	Survive(t, newTable(t, newStream(t, "ordered: false"), postgresql(t)), Promise{Unordered: true, Once: true})
}
