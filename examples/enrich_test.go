package examples_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/object/s3"
	"github.com/myelin-run/myelin/binding/table/postgresql"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/kafka"
)

// An order from Kafka is filed in S3 with its customer from PostgreSQL; one of
// nobody, and one that does not say whose it is, are in another topic.
func TestEnrichExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "enrich-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	spec := &a.Config.Spec
	spec.DisableDefaultHTTPTrigger = true
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	pg := "postgres://postgres@" + servers.PostgreSQL(t).Addr + "/postgres"
	fill(ctx, t, pg)
	customers := spec.DataBindings["customers"]
	customers.URL, customers.Secret = pg, ""
	spec.DataBindings["customers"] = customers
	orders := spec.DataBindings["orders"]
	orders.URL, orders.Secret, orders.Path = "http://KEY@"+servers.Gofakes3(t).Addr, "secret", servers.S3Bucket+"/orders"
	spec.DataBindings["orders"] = orders
	from := spec.Triggers["orders"]
	from.URL = servers.Kafka(t).Addr
	spec.Triggers["orders"] = from

	cl, err := kgo.NewClient(kgo.SeedBrokers(from.URL), kgo.ConsumeTopics("orders.failed"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopics(ctx, 1, 1, nil, "orders", "orders.failed"); err != nil {
		t.Fatal(err)
	}
	enrich(t, processor.Config{Function: a.Config, Dir: a.Dir, Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}})
	failing := []string{`{"order": 8, "customer": 3, "amount": 1}`, `{"order": 9}`}
	for _, order := range append(failing, `{"order": 7, "customer": 2, "amount": 42.5}`) {
		r := &kgo.Record{Topic: "orders", Value: []byte(order), Headers: []kgo.RecordHeader{{Key: "Content-Type", Value: []byte("application/json")}}}
		if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}

	b, err := s3.Factory().New(binding.Settings{Name: "orders", Spec: orders, Log: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	store := bindingtest.Opened(t, b).(data.ObjectStore)
	if got, want := filed(ctx, t, store, "Berlin/7.json"), `{"order": 7, "customer": 2, "amount": 42.5, "name": "Zuse", "city": "Berlin"}`; got != want {
		t.Errorf("filed %s, want %s", got, want)
	}
	failed := map[string]bool{}
	for len(failed) < len(failing) && ctx.Err() == nil {
		for r := range cl.PollFetches(ctx).RecordsAll() {
			failed[string(r.Value)] = true
		}
	}
	for _, order := range failing {
		if !failed[order] {
			t.Errorf("%s is not in orders.failed, which has %v", order, failed)
		}
	}
}

// fill makes the table of customers.
func fill(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{"CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT)",
		"INSERT INTO customers VALUES (1, 'Ada', 'London'), (2, 'Zuse', 'Berlin')"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
}

// filed waits for an object.
func filed(ctx context.Context, t *testing.T, store data.ObjectStore, name string) string {
	t.Helper()
	for {
		content, info, err := store.Get(ctx, name, data.Range{}, 0)
		if err == nil {
			if info.ContentType != "application/json" || !json.Valid(content) {
				t.Errorf("%s is %s", name, info.ContentType)
			}
			return string(content)
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// enrich runs the function until the test ends.
func enrich(t *testing.T, cfg processor.Config) {
	t.Helper()
	function.Defaults(&cfg.Function)
	p, err := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(kafka.Factory()), Runtimes: runtime.NewSet(python.Factory()),
		Bindings: binding.NewSet(postgresql.Factory(), s3.Factory())})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
