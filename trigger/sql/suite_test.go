package sql

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/sql/link"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

var (
	pool    servers.Pool
	counter atomic.Int64
)

// kind is a database under test: how a table is reached, past and through a
// proxy.
type kind struct {
	name  string
	url   func(addr string) string
	addr  string // "" for a file
	types [3]string
}

func postgres(t testing.TB) kind {
	return kind{name: "postgresql", addr: pool.PostgreSQL(t).Addr, url: func(addr string) string { return "postgres://postgres@" + addr + "/postgres" }, types: [3]string{"BIGSERIAL PRIMARY KEY", "TIMESTAMPTZ", "JSONB"}}
}

func mariadb(t testing.TB) kind {
	return kind{name: "mariadb", addr: pool.MariaDB(t).Addr, url: func(addr string) string { return "mysql://root@" + addr + "/test" }, types: [3]string{"BIGINT PRIMARY KEY AUTO_INCREMENT", "DATETIME(6)", "JSON"}}
}

func sqlite(t testing.TB) kind {
	path := filepath.Join(t.TempDir(), "suite.db")
	return kind{name: "sqlite", url: func(string) string { return (&url.URL{Scheme: "sqlite", Path: path}).String() }, types: [3]string{"INTEGER PRIMARY KEY AUTOINCREMENT", "DATETIME", "JSON"}}
}

// open reaches the database past any proxy.
func (k kind) open(t testing.TB) *sql.DB {
	t.Helper()
	if k.addr == "" { // the trigger makes no database
		path := strings.TrimPrefix(k.url(""), "sqlite:")
		f, err := os.OpenFile(strings.TrimPrefix(path, "//"), os.O_CREATE|os.O_RDWR, 0o600)
		must(t, err)
		must(t, f.Close())
	}
	s := trigger.Settings{}
	s.Spec.URL = k.url(k.addr)
	at, err := link.Parse(s, link.Options{Timeout: 30e9})
	must(t, err)
	db, err := at.Open(context.Background())
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// broker is a table and a table of places, which are this check's own.
type broker struct {
	kind
	db            *sql.DB
	table, places string
	proxy         *fault.Proxy
}

func newBroker(t testing.TB, k kind) *broker {
	t.Helper()
	n := counter.Add(1)
	b := &broker{kind: k, db: k.open(t), table: fmt.Sprint("records", n), places: fmt.Sprint("places", n)}
	if k.addr != "" {
		p, err := fault.Listen(k.addr)
		must(t, err)
		t.Cleanup(func() { _ = p.Close() })
		b.proxy = p
	}
	b.exec(t, "CREATE TABLE "+b.table+" (id "+k.types[0]+", k VARCHAR(10), body VARCHAR(100), number VARCHAR(10), odd VARCHAR(10))")
	return b
}

func (b *broker) exec(t testing.TB, text string, args ...any) {
	t.Helper()
	_, err := b.db.Exec(text, args...)
	must(t, err)
}

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"table": b.table, "watermark": "id", "places": b.places, "bodyColumn": "body", "keyColumn": "k", "headers": []string{"number", "odd"},
		"interval": "20ms", "settle": "0s", "pageSize": 37, "nulls": "ignore"}
	maps.Copy(m, more)
	return m
}

func (b *broker) at(t testing.TB, s trigger.Settings, attributes map[string]any) trigger.Trigger {
	t.Helper()
	if s.Spec.URL == "" {
		s.Spec.URL = b.url("")
		if b.proxy != nil {
			s.Spec.URL = b.url(b.proxy.Addr())
		}
	}
	raw, err := json.Marshal(attributes)
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

// Trigger implements triggertest.Broker.
func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return b.at(t, s, b.attributes(nil))
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

// networked is a broker whose connections can be cut.
type networked struct{ *broker }

func (b networked) Cut(testing.TB)    { b.proxy.Reset() }
func (b networked) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b networked) Back(t testing.TB) { must(t, b.proxy.Restore()) }

// Broken implements triggertest.Breaker.
func (b networked) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	absent, wrong := fmt.Sprint("absent", counter.Add(1)), s
	wrong.Spec.URL = b.url(b.proxy.Addr())
	wrong.Spec.Username, wrong.Spec.Password = "nobody", quantity.Secret("wrong")
	return map[string]triggertest.Broken{
		"table":    {Trigger: b.at(t, s, b.attributes(map[string]any{"table": absent})), Says: absent, Mend: func() { b.exec(t, "CREATE TABLE "+absent+" AS SELECT * FROM "+b.table) }},
		"column":   {Trigger: b.at(t, s, b.attributes(map[string]any{"watermark": "nothing", "places": b.places + "b"})), Says: "nothing"},
		"password": {Trigger: b.at(t, wrong, b.attributes(nil)), Says: "nobody"},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSuite: two servers and a file.
func TestSuite(t *testing.T) {
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			g := triggertest.Guarantees{Sole: true, Parallel: true, Brief: name != "postgresql"}
			g.New = func(t testing.TB) triggertest.Broker { return newBroker(t, k(t)) }
			if name != "sqlite" {
				k(t)
				g.New = func(t testing.TB) triggertest.Broker { return networked{newBroker(t, k(t))} }
			}
			triggertest.PollSuite(t, g)
		})
	}
}

// unreachable is an address where nothing listens.
var unreachable = net.JoinHostPort("127.0.0.1", "1")
