package processor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/host"
	"github.com/myelin-run/myelin/binding/kv/embedded"
	"github.com/myelin-run/myelin/binding/table/sqlite"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	"github.com/myelin-run/myelin/runtime/native/nuclio"
	myelin "github.com/myelin-run/myelin/sdk/go"
	nuclioo "github.com/myelin-run/myelin/sdk/nuclio"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
)

func embeddedAndTables() *binding.Set { return binding.NewSet(embedded.Factory(), sqlite.Factory()) }

// A function in Go counts and keeps rows through its bindings, also in its init
// hook; a transaction that it leaves open is undone; it finds its data again.
func TestBindingsInGo(t *testing.T) {
	cfg := config(t, "  dataBindings:\n    seen: {kind: embedded}\n    orders: {class: table, kind: sqlite}\n")
	f := native.Of(func(ctx *myelin.Context, ev *myelin.Event) (any, error) {
		orders := ctx.Bindings.Table("orders")
		switch string(ev.Body) {
		case "leave":
			tx, err := orders.Begin(ctx)
			if err == nil {
				_, err = tx.Exec(ctx, "INSERT INTO o VALUES ('left')")
			}
			return "left", err
		case "wrong":
			_, err := ctx.Bindings.KV("orders").Get(ctx, "x")
			return nil, err
		case "missing":
			_, err := ctx.Bindings.Object("pictures").Stat(ctx, "x")
			if !errors.Is(err, myelin.ErrNotFound) {
				return nil, errors.New("no such binding is no such thing")
			}
			return err.Error(), nil
		}
		if _, err := orders.Exec(ctx, "INSERT INTO o VALUES (?)", string(ev.Body)); err != nil {
			return nil, err
		}
		n, err := ctx.Bindings.KV("seen").Add(ctx, "count", 1)
		if err != nil {
			return nil, err
		}
		r, err := orders.Query(ctx, "SELECT s FROM o ORDER BY rowid")
		if err != nil {
			return nil, err
		}
		return map[string]any{"count": n, "rows": r.Rows}, nil
	}, func(ctx *myelin.Context) error {
		_, err := ctx.Bindings.Table("orders").Exec(ctx, "CREATE TABLE IF NOT EXISTS o (s TEXT)")
		return err
	})
	r := startBound(t, cfg, f)
	for _, c := range []struct{ body, want string }{
		{"a", `{"count":1,"rows":[["a"]]}`}, {"leave", "left"}, {"b", `{"count":2,"rows":[["a"],["b"]]}`},
		{"missing", `the function has no binding "pictures": it has orders, seen`},
	} {
		if status, got, err := post(r.url, c.body); err != nil || status != 200 || strings.TrimSpace(got) != c.want {
			t.Errorf("%s: %d %s %v, want %s", c.body, status, got, err, c.want)
		}
	}
	if status, got, err := post(r.url, "wrong"); err != nil || status != 500 || !strings.Contains(got, "binding orders is not of class kv") {
		t.Errorf("%d %s %v", status, got, err)
	}
	var reports []host.Report
	if err := json.Unmarshal([]byte(fetch(t, r.admin+"/bindings")), &reports); err != nil || len(reports) != 2 || reports[0].Name != "orders" || reports[0].State != host.Running || reports[0].Calls == 0 {
		t.Errorf("%+v, %v", reports, err)
	}
	if m := fetch(t, r.admin+"/metrics"); !strings.Contains(m, `myelin_binding_duration_seconds_count{binding="seen",class="kv",function="f",kind="embedded",operation="kv.add",outcome="ok"} 2`) {
		t.Error("no metrics of the binding")
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	r = startBound(t, cfg, f)
	if _, got, err := post(r.url, "c"); err != nil || strings.TrimSpace(got) != `{"count":3,"rows":[["a"],["b"],["c"]]}` {
		t.Errorf("after a restart: %s %v", got, err)
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}

// Functions for Nuclio find their bindings under Nuclio's name.
func TestBindingsForNuclio(t *testing.T) {
	cfg := config(t, "  dataBindings:\n    seen: {kind: embedded}\n")
	r := startBound(t, cfg, nuclio.Of(func(ctx *nuclioo.Context, _ nuclioo.Event) (interface{}, error) {
		n, err := ctx.DataBinding["seen"].(*myelin.KV).Add(context.Background(), "n", 5)
		return map[string]int64{"n": n}, err
	}, nil))
	if _, got, err := post(r.url, ""); err != nil || strings.TrimSpace(got) != `{"n":5}` {
		t.Errorf("%s %v", got, err)
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}

// What is wrong with a binding is said with its place before anything starts.
func TestBindingMistakes(t *testing.T) {
	for spec, want := range map[string]string{
		"{kind: embedde}":                                `spec.dataBindings.x.kind: unknown kind "embedde", did you mean "embedded"?`,
		"{class: kvs, kind: embedded}":                   `spec.dataBindings.x.class: unknown class "kvs", did you mean "kv"?`,
		"{class: table, kind: embedded}":                 `spec.dataBindings.x.kind: unknown kind "embedded" of class table`,
		"{kind: embedded, url: 'http://x'}":              `spec.dataBindings.x.url: is not for embedded`,
		"{kind: embedded, path: ../../x}":                `spec.dataBindings.x.path: "../../x" leads out`,
		"{kind: embedded, attributes: {durabel: true}}":  `unknown field spec.dataBindings.x.attributes.durabel`,
		"{kind: sqlite, attributes: {timeout: 0s}}":      `spec.dataBindings.x.attributes.timeout: is 0s, expected at least 1ms`,
		"{kind: sqlite}\n    y: {name: x, kind: sqlite}": `spec.dataBindings.y.name: "x" is another binding's, too`,
		"{kind: embedded, attributes: {maxValue: -1}}":   `spec.dataBindings.x.attributes.maxValue`,
	} {
		cfg := config(t, "  dataBindings:\n    x: "+spec+"\n")
		_, err := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(httptrigger.Factory()),
			Runtimes: runtime.NewSet(native.Factory(native.Of(func(*myelin.Context, *myelin.Event) (any, error) { return nil, nil }, nil))), Bindings: embeddedAndTables()})
		if !errors.Is(err, processor.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", spec, err, want)
		}
	}
}

func startBound(t *testing.T, cfg processor.Config, f native.Function) *running {
	t.Helper()
	return startParts(t, cfg, processor.Parts{Triggers: trigger.NewSet(httptrigger.Factory()), Runtimes: runtime.NewSet(native.Factory(f)), Bindings: embeddedAndTables()})
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	status, text := get(t, url)
	if status != 200 {
		t.Errorf("%s: %d %s", url, status, text)
	}
	return text
}

// What the spec says of caches, gathered writes and breakers holds for a function,
// and shows in the metrics; a write that fails fails its event alone.
func TestBindingLayers(t *testing.T) {
	cfg := config(t, `  dataBindings:
    seen: {kind: embedded, cache: {ttl: 1h}, breaker: {failures: 3}, required: true}
    orders: {class: table, kind: sqlite, batch: {count: 2, wait: 59s}, cache: {queries: true, ttl: 1h}}
`)
	f := native.Of(func(ctx *myelin.Context, ev *myelin.Event) (any, error) {
		if _, err := ctx.Bindings.Table("orders").Insert(ctx, "o", []string{"s"}, [][]any{{string(ev.Body)}}); err != nil {
			return nil, err
		}
		for range 3 {
			if _, err := ctx.Bindings.KV("seen").Get(ctx, "k"); err != nil {
				return nil, err
			}
		}
		return "inserted", nil
	}, func(ctx *myelin.Context) error {
		if _, err := ctx.Bindings.KV("seen").Put(ctx, "k", []byte("v")); err != nil {
			return err
		}
		if _, err := ctx.Bindings.KV("seen").Get(ctx, "k"); err != nil {
			return err
		}
		_, err := ctx.Bindings.Table("orders").Exec(ctx, "CREATE TABLE IF NOT EXISTS o (s TEXT UNIQUE CHECK (s <> 'bad'))")
		return err
	})
	r := startBound(t, cfg, f)
	got := make(chan string, 2)
	for _, body := range []string{"good", "bad"} {
		go func() {
			status, answer, err := post(r.url, body)
			got <- fmt.Sprint(body, " ", status, " ", strings.Contains(answer, "not kept"), err)
		}()
	}
	answers := []string{<-got, <-got}
	slices.Sort(answers)
	if want := []string{"bad 400 true <nil>", "good 200 false <nil>"}; !slices.Equal(answers, want) {
		t.Errorf("%q, want %q", answers, want)
	}
	metrics := fetch(t, r.admin+"/metrics")
	for _, want := range []string{`myelin_binding_cache_total{binding="seen",outcome="hit"} `,
		`myelin_binding_batch_writes_total{binding="orders",outcome="error"} 1`, `myelin_binding_batch_flushes_total{binding="orders"} 1`,
		`myelin_binding_circuit_open{binding="seen"} 0`, `myelin_binding_up{binding="seen"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	var reports []host.Report
	if err := json.Unmarshal([]byte(fetch(t, r.admin+"/bindings")), &reports); err != nil || reports[0].Batch == nil || reports[1].Cache == nil || reports[1].Cache.Hits < 4 || reports[1].Circuit != "closed" {
		t.Errorf("%+v, %v", reports, err)
	}
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}
