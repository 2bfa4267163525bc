package replication

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
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
		return Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{URL: url, Delivery: function.Delivery{CheckpointInterval: quantity.Duration(20 * time.Millisecond)}}}, []byte(attributes))
	}) {
		return
	}
	mortal.Beside()
	os.Exit(pool.Run(m))
}

// broker is a table, its publication and its slot, which are this check's own, and
// a way to the server that can be cut.
type broker struct {
	db                         *sql.DB
	table, publication, places string
	slot                       string
	direct, proxied            string
	proxy                      *fault.Proxy
}

func urlOf(addr string) string { return "postgres://postgres@" + addr + "/postgres" }

func open(t testing.TB, addr string) *sql.DB { t.Helper(); return openAt(t, urlOf(addr)) }

func openAt(t testing.TB, url string) *sql.DB {
	t.Helper()
	s := trigger.Settings{}
	s.Spec.URL = url
	at, err := link.Parse(s, link.Options{Timeout: 30 * time.Second})
	must(t, err)
	db, err := at.Open(context.Background())
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newBroker(t testing.TB, addr string) *broker {
	t.Helper()
	n := counter.Add(1)
	p, err := fault.Listen(addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	b := &broker{db: open(t, addr), table: fmt.Sprint("records", n), publication: fmt.Sprint("pub", n), places: fmt.Sprint("places", n), slot: fmt.Sprint("slot", n),
		direct: urlOf(addr), proxied: urlOf(p.Addr()), proxy: p}
	b.exec(t, "CREATE TABLE "+b.table+" (id BIGSERIAL PRIMARY KEY, k TEXT, body TEXT, number TEXT, odd TEXT)")
	b.exec(t, "CREATE PUBLICATION "+b.publication+" FOR TABLE "+b.table)
	b.makeSlot(t)
	t.Cleanup(func() { b.dropSlot(t) })
	return b
}

func (b *broker) makeSlot(t testing.TB) {
	t.Helper()
	b.exec(t, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", b.slot)
}

// dropSlot waits until nobody reads the slot.
func (b *broker) dropSlot(t testing.TB) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err = b.db.Exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", b.slot); err == nil {
			return
		}
	}
	t.Errorf("drop slot: %v", err)
}

func (b *broker) exec(t testing.TB, text string, args ...any) {
	t.Helper()
	_, err := b.db.Exec(text, args...)
	must(t, err)
}

// changes are the attributes for events that tell changes.
func (b *broker) changes(more map[string]any) map[string]any {
	m := map[string]any{"publication": b.publication, "slot": b.slot, "places": b.places, "timeout": "10s"}
	maps.Copy(m, more)
	return m
}

// rows are the attributes for events that are rows.
func (b *broker) rows(more map[string]any) map[string]any {
	m := b.changes(map[string]any{"bodyColumn": "body", "keyColumn": "k", "headers": []string{"number", "odd"}})
	maps.Copy(m, more)
	return m
}

func (b *broker) at(t testing.TB, s trigger.Settings, attributes map[string]any) trigger.Trigger {
	t.Helper()
	if s.Spec.URL == "" {
		s.Spec.URL = b.proxied
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
	return b.at(t, s, b.rows(nil))
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
	absent, wrong := fmt.Sprint("absent", counter.Add(1)), s
	wrong.Spec.Username, wrong.Spec.Password = "nobody", quantity.Secret("wrong")
	return map[string]triggertest.Broken{
		"publication": {
			Trigger: b.at(t, s, b.rows(map[string]any{"publication": absent, "places": b.places + "a"})), Says: fmt.Sprintf("publication %q is not there", absent),
			Mend: func() {
				b.dropSlot(t) // it is older than the publication; the trigger makes another
				b.exec(t, "CREATE PUBLICATION "+absent+" FOR TABLE "+b.table)
			},
		},
		"table": {
			Trigger: b.at(t, s, b.rows(map[string]any{"publication": absent + "t", "tables": []string{absent}, "places": b.places + "b"})), Says: fmt.Sprintf("table %q is not there", absent),
			Mend: func() { b.exec(t, "CREATE TABLE "+absent+" (id INT PRIMARY KEY)") },
		},
		"password": {Trigger: b.at(t, wrong, b.rows(nil)), Says: "nobody"},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSuite is the suite of sources that one processor at a time reads.
func TestSuite(t *testing.T) {
	addr := pool.PostgreSQL(t).Addr
	g := triggertest.Guarantees{Sole: true, Parallel: true, Once: true, Patience: patience}
	g.New = func(t testing.TB) triggertest.Broker { return newBroker(t, addr) }
	triggertest.PollSuite(t, g)
}
