package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/kv/embedded"
	kvetcd "github.com/myelin-run/myelin/binding/kv/etcd"
	kvnats "github.com/myelin-run/myelin/binding/kv/nats"
	kvredis "github.com/myelin-run/myelin/binding/kv/redis"
	"github.com/myelin-run/myelin/binding/object/directory"
	"github.com/myelin-run/myelin/binding/object/s3"
	streamredis "github.com/myelin-run/myelin/binding/stream/redis"
	"github.com/myelin-run/myelin/binding/table/mysql"
	"github.com/myelin-run/myelin/binding/table/postgresql"
	"github.com/myelin-run/myelin/binding/table/sqlite"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/logs"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
)

// everywhere counts who comes, and keeps them in a table and in files.
func everywhere(ctx *myelin.Context, ev *myelin.Event) (any, error) {
	n, err := ctx.Bindings.KV("seen").Add(ctx, "of/"+string(ev.Body), 1)
	if err != nil {
		return nil, err
	}
	orders := ctx.Bindings.Table("orders")
	err = orders.Transact(ctx, func(tx *myelin.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO visits (who, n) VALUES (?, ?) -- who?", string(ev.Body), n)
		return err
	})
	if err != nil {
		return nil, err
	}
	r, err := orders.Query(ctx, "SELECT who, n FROM visits WHERE who <> ? ORDER BY who, n", "nobody?")
	if err != nil {
		return nil, err
	}
	keys, err := ctx.Bindings.KV("seen").Scan(ctx, "of/", "", 0)
	if err != nil {
		return nil, err
	}
	files, err := keepFile(ctx, fmt.Sprintf("visits/%d/of %s", n, ev.Body))
	return map[string]any{"n": n, "rows": r.Rows, "keys": keys, "files": files}, err
}

// keepFile writes an object once, reads a part of it, and lists what there is.
func keepFile(ctx *myelin.Context, name string) (out []string, err error) {
	files, nothing := ctx.Bindings.Object("files"), ""
	_, err = files.Put(ctx, name, []byte("<"+name+">"), data.PutObject{ContentType: "text/x-visit", If: &nothing})
	if err != nil && !errors.Is(err, myelin.ErrConflict) {
		return nil, err
	}
	part, _, err := files.GetRange(ctx, name, data.Range{From: 1, To: 6})
	if err != nil {
		return nil, err
	}
	infos, err := files.List(ctx, "visits/", "", 0)
	for _, i := range infos {
		out = append(out, i.Name)
	}
	return append(out, string(part)), err
}

func prepare(ctx *myelin.Context) error {
	_, err := ctx.Bindings.Table("orders").Exec(ctx, "CREATE TABLE IF NOT EXISTS visits (who TEXT, n BIGINT)")
	if errors.Is(err, myelin.ErrConflict) {
		return nil // another worker made it at the same moment: PostgreSQL lets one of them fail
	}
	return err
}

// One function runs on every kind of a class, by its spec alone.
func TestOneFunctionOnEveryKind(t *testing.T) {
	redis, nats, etcd := servers.Redis(t), servers.NATS(t), servers.Etcd(t)
	pg, maria, s3 := servers.PostgreSQL(t), servers.MariaDB(t), servers.Gofakes3(t)
	postgresql := fmt.Sprintf("{kind: postgresql, url: 'postgres://postgres@%s/postgres'}", pg.Addr)
	var first string
	for _, kinds := range []struct{ seen, orders, files string }{
		{"{kind: embedded}", "{kind: sqlite}", "{kind: directory}"},
		{"{kind: redis, url: 'redis://" + redis.Addr + "'}", postgresql, "{kind: s3, url: 'http://KEY@" + s3.Addr + "', secret: key, path: " + servers.S3Bucket + "}"},
		{"{kind: nats, class: kv, url: 'nats://" + nats.Addr + "', path: seen}", "{kind: sqlite}", "{kind: directory}"},
		{"{kind: etcd, url: 'http://" + etcd.Addr + "'}", "{kind: mariadb, url: 'mysql://root@" + maria.Addr + "/test'}", "{kind: directory}"},
	} {
		spec := fmt.Sprintf("seen: %s\n    orders: %s\n    files: %s", kinds.seen, kinds.orders, kinds.files)
		url, end := serveBound(t, spec)
		var got strings.Builder
		for _, who := range []string{"ann", "o'neil; --", "ann"} {
			resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Post(url, "text/plain", strings.NewReader(who))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || resp.StatusCode != 200 {
				t.Errorf("%s: %d %s, %v", spec, resp.StatusCode, b, err)
			}
			got.Write(b)
		}
		end()
		if first == "" {
			first = got.String()
		}
		if got.String() != first || !strings.Contains(first, `"rows":[["ann",1],["ann",2],["o'neil; --",1]]`) || !strings.Contains(first, `["visits/1/of ann","visits/1/of o'neil; --","visits/2/of ann","visits"]`) {
			t.Errorf("%s: %s\nnot %s", spec, got.String(), first)
		}
	}
}

func serveBound(t *testing.T, bindings string) (url string, end func()) {
	t.Helper()
	l, err := function.Parse("function.yaml", []byte("metadata: {name: f}\nspec:\n  runtime: golang\n  minReplicas: 1\n  dataBindings:\n    "+bindings+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	function.Defaults(&l.Config)
	web := l.Config.Spec.Triggers["default-http"]
	web.Attributes = json.RawMessage(`{"host": "127.0.0.1", "port": 0}`)
	l.Config.Spec.Triggers["default-http"] = web
	dir := t.TempDir()
	t.Chdir(dir)
	p, err := processor.New(processor.Config{Function: l.Config, Dir: dir, Scratch: filepath.Join(dir, "s"), WriteReady: true,
		Admin: processor.Admin{Listen: "none"}, Logs: processor.Logs{Processor: logs.Sink{File: "p.log"}, Function: logs.Sink{File: "f.log"}}},
		processor.Parts{Triggers: trigger.NewSet(httptrigger.Factory()), Runtimes: runtime.NewSet(native.Factory(native.Of(everywhere, prepare))),
			Bindings: binding.NewSet(directory.Factory(), embedded.Factory(), kvetcd.Factory(), kvnats.Factory(), kvredis.Factory(),
				mysql.Factory(), postgresql.Factory(), s3.Factory(), sqlite.Factory(), streamredis.Factory())})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var ready processor.Ready
	for until := time.Now().Add(60 * time.Second); ready.PID == 0; time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(processor.ReadyFile); err == nil {
			if err := json.Unmarshal(b, &ready); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case err := <-done:
			t.Fatalf("processor ended: %v", err)
		default:
		}
		if time.Now().After(until) {
			t.Fatal("the processor does not get ready")
		}
	}
	return "http://" + ready.Addresses["default-http"] + "/", func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
