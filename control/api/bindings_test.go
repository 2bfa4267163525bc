package api_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding/cache"
	"github.com/myelin-run/myelin/binding/host"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/api/openapi/conform"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// processors answer as they are told to, whoever of them is asked.
type processors struct {
	replies []platform.Reply
	asked   []string // what for
}

func (p *processors) Ask(_ context.Context, name, method, path string, _ []byte) []platform.Reply {
	p.asked = append(p.asked, name+" "+method+" "+path)
	return p.replies
}

// What the processors of a function say of its bindings is listed by binding and
// replica; one that does not answer, or not as it should, is listed with why.
func TestBindingsOfAllReplicas(t *testing.T) {
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := &processors{}
	srv := httptest.NewServer(conform.New(t).Handler(t, api.New(api.Options{Catalog: catalog.New(s), Processors: p, Log: slog.New(slog.DiscardHandler)})))
	defer srv.Close()
	c := client.New(srv.URL, "", nil)
	if _, err := c.Bindings(t.Context(), "orders"); !client.NotFound(err) {
		t.Fatalf("bindings of nobody: %v", err)
	}
	if _, err := c.Put(t.Context(), function.Config{Metadata: function.Metadata{Name: "orders"}, Spec: function.Spec{Runtime: "python", Handler: "m:f"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Bindings(t.Context(), "orders"); err == nil || !strings.Contains(err.Error(), "no processor of orders runs") {
		t.Errorf("bindings of a function that does not run: %v", err)
	}
	required := true
	said, err := json.Marshal([]host.Report{
		{Name: "visits", Class: "table", Kind: "postgresql", State: host.Broken, Problem: "connection refused", Failed: 3, Calls: 7, Required: &required},
		{Name: "keys", Class: "kv", Kind: "redis", State: host.Running, Calls: 5, Cache: &cache.Stats{Hits: 4},
			Operations: []host.Operation{{Name: "kv.get", Calls: 5, Mean: 0.5, P50: 0.25, P99: 1}}, Circuit: "closed"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.replies = []platform.Reply{
		{Replica: "2", Status: http.StatusOK, Body: said},
		{Replica: "1", Status: http.StatusOK, Body: said},
		{Replica: "3", Body: []byte("it does not answer\n")},
		{Replica: "4", Status: http.StatusOK, Body: []byte("<html>")},
	}
	all, err := c.Bindings(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, one := range all {
		order = append(order, one.Name+" "+one.Replica)
	}
	if got := strings.Join(order, ", "); got != " 3,  4, keys 1, keys 2, visits 1, visits 2" {
		t.Fatalf("listed %q", got)
	}
	if all[0].Problem != "processor 3: it does not answer" || all[1].Problem == "" {
		t.Errorf("those that could not be asked: %+v", all[:2])
	}
	if k := all[2]; k.Kind != "redis" || k.Cache.Hits != 4 || k.Operations[0].P99 != 1 || k.State != host.Running || k.Circuit != "closed" || k.Required != nil {
		t.Errorf("keys: %+v", k)
	}
	if v := all[4]; v.State != host.Broken || v.Problem != "connection refused" || v.Failed != 3 || v.Required == nil || !*v.Required {
		t.Errorf("visits: %+v", v)
	}
	for _, asked := range p.asked {
		if asked != "default.orders GET /bindings" {
			t.Errorf("asked %q", asked)
		}
	}
}
