package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/servers"
)

// What one version cannot do another one can: its letters are redriven there, by
// the number of the version or by the name of an alias.
func TestRedriveToAVersion(t *testing.T) {
	store := servers.Redis(t)
	db := redis.NewClient(&redis.Options{Addr: store.Addr})
	defer db.Close()
	p := newPlane(t)
	orders := fmt.Sprintf(`--triggers={"web":{"kind":"http","numWorkers":1,"workerAllocatorName":"all"},"orders":{"kind":"redis","url":"redis://%s","startAt":"earliest","workerAllocatorName":"all",
		"attributes":{"streams":["orders"],"makeStreams":true,"bodyField":"body"}}}`, store.Addr)
	p.run("orders", "orders.py", counts, orders) // fails
	if out := p.myelin("publish", "orders"); !strings.Contains(out, "version 1") {
		t.Fatal(out)
	}
	p.run("orders", "orders.py", strings.Replace(counts, `startswith("bad")`, `startswith("worse")`, 1), orders) // mends
	if out := p.myelin("publish", "orders"); !strings.Contains(out, "version 2") {
		t.Fatal(out)
	}
	p.run("orders", "orders.py", counts, orders)
	for _, alias := range []string{"old=1", "new=2"} {
		if out := p.myelin("alias", "set", "orders", alias); strings.Contains(out, "error") {
			t.Fatal(out)
		}
	}
	for _, body := range []string{"bad 1", "bad 2", "good", "bad 3"} {
		if err := db.XAdd(context.Background(), &redis.XAddArgs{Stream: "orders", Values: []any{"body", body}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var list string
	p.until("three letters", func() bool {
		list = p.myelin("letters", "list", "orders")
		return strings.Count(list, "cannot read bad") == 3
	})
	var ids []string
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "orders" {
			ids = append(ids, f[0])
		}
	}
	if len(ids) != 3 {
		t.Fatalf("letters:\n%s", list)
	}
	for _, x := range []struct{ to, want string }{
		{"", "0 of 1 done"}, {"orders:1", "0 of 1 done"}, {":old", "0 of 1 done"}, {"orders:latest", "no version or alias"},
		{"orders:7", "no version 7"}, {"orders:", "names no version"}, {"order:2", "unknown function"},
	} {
		if out := p.myelin("letters", "redrive", "orders", ids[0], "--to", x.to); !strings.Contains(out, x.want) {
			t.Errorf("to %q: %s", x.to, out)
		}
	}
	if out := p.myelin("letters", "redrive", "orders", ids[0], "--to", "orders:2", "-o", "json"); !strings.Contains(out, `"by": "orders:2"`) || !strings.Contains(out, `"removed": true`) {
		t.Errorf("to the version that mends: %s", out)
	}
	if out := p.myelin("letters", "redrive", "orders", "--all", "--to", ":new"); !strings.Contains(out, "2 of 2 done") {
		t.Errorf("to the alias of the version that mends: %s", out)
	}
	if left := p.myelin("letters", "list", "orders"); strings.Contains(left, "bad") {
		t.Errorf("letters are left:\n%s", left)
	}
	p.until("the version that mends to have seen all", func() bool {
		_, text := p.ask("orders:2", "")
		return strings.Contains(text, `"redis bad 1": 1`) && strings.Contains(text, `"redis bad 2": 1`) && strings.Contains(text, `"redis bad 3": 1`)
	})
}
