package cli

import (
	"testing"

	"github.com/myelin-run/myelin/binding/batch"
	"github.com/myelin-run/myelin/binding/cache"
	"github.com/myelin-run/myelin/binding/host"
	"github.com/myelin-run/myelin/control/api"
)

// The page has all that is known of each binding, and says who could not be asked.
func TestBindingPage(t *testing.T) {
	got := bindingPage([]api.BindingView{
		{Replica: "r2", Report: host.Report{Problem: "it does not answer"}},
		{Replica: "r1", Report: host.Report{Name: "orders", Class: "table", Kind: "postgresql", State: host.Broken, Problem: "connection refused",
			Calls: 12, Failed: 3, Batch: &batch.Stats{Writes: 1000, Flushes: 2}, Circuit: "open", Opened: 2,
			Operations: []host.Operation{{Name: "table.insert", Calls: 12, Failed: 3, Mean: 0.0123456, P50: 0.00000123, P99: 2.5}}}},
		{Replica: "r1", Report: host.Report{Name: "users", Class: "kv", Kind: "redis", State: host.Running, Cache: &cache.Stats{Hits: 90, Misses: 8, Shared: 2}, Circuit: "closed"}},
	})
	want := `
Data bindings:
  NAME     KIND               REPLICA   STATE     CALLS   FAILED   CACHE        WRITES      BREAKER                 PROBLEM
  -        -                  r2        -         -       -        -            -           -                       it does not answer
  orders   table/postgresql   r1        broken    12      3        -            1000 in 2   open (opened 2 times)   connection refused
  users    kv/redis           r1        running   0       0        90% of 100   -           closed                  -

Calls of data bindings:
  NAME     REPLICA   OPERATION      CALLS   FAILED   MEAN     P50      P99
  orders   r1        table.insert   12      3        12.3ms   1.23µs   2.5s
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
