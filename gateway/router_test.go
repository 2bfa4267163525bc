package gateway

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/function"
)

// A gateway takes a difference to the table that it has, and asks for the whole
// otherwise; connections of what did not change stay.
func TestDifferencesOfTheTable(t *testing.T) {
	g := newRouter(slog.New(slog.DiscardHandler))
	admin := g.admin()
	tell := func(method, body string) int {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequest(method, "/routes", strings.NewReader(body)))
		return w.Code
	}
	serving := func(fn, generation string) string {
		return fmt.Sprintf(`{"namespace":"default","function":%q,"version":"$latest","address":"127.0.0.1:1","generation":%q,"state":"serving"}`, fn, generation)
	}
	if got := tell(http.MethodPatch, `{"from":{"of":"a","at":1},"to":{"of":"a","at":2}}`); got != http.StatusConflict {
		t.Errorf("a difference to no table: %d", got)
	}
	if got := tell(http.MethodPut, `{"edition":{"of":"a","at":1},"deployments":[`+serving("f", "1")+`,`+serving("g", "1")+`]}`); got != http.StatusNoContent {
		t.Fatalf("a table: %d", got)
	}
	key := func(fn string) route.Key {
		return route.Key{Namespace: "default", Function: fn, Version: function.Latest}
	}
	before := g.state.Load()
	for _, wrong := range []string{`{"from":{"of":"a","at":2},"to":{"of":"a","at":3}}`, `{"from":{"of":"b","at":1},"to":{"of":"b","at":2}}`, `{"to":{"of":"a","at":2}}`} {
		if got := tell(http.MethodPatch, wrong); got != http.StatusConflict || g.state.Load() != before {
			t.Errorf("%s: %d", wrong, got)
		}
	}
	if got := tell(http.MethodPatch, `{"from":`); got != http.StatusBadRequest {
		t.Errorf("half of a difference: %d", got)
	}
	diff := `{"from":{"of":"a","at":1},"to":{"of":"a","at":5},"deployments":[` + serving("f", "2") + `],"aliases":[{"namespace":"default","function":"g","name":"prod","versions":[{"version":"$latest","weight":100}]}]}`
	if got := tell(http.MethodPatch, diff); got != http.StatusNoContent {
		t.Fatalf("a difference: %d", got)
	}
	now := g.state.Load()
	if now.pools[key("g")] != before.pools[key("g")] || now.pools[key("f")] == before.pools[key("f")] || !now.Known(route.Target{Namespace: "default", Function: "g", Alias: "prod"}) {
		t.Errorf("the pools are %v, and were %v", now.pools, before.pools)
	}
	if got := tell(http.MethodPatch, diff); got != http.StatusConflict {
		t.Errorf("the same difference again: %d", got)
	}
	if got := tell(http.MethodPatch, `{"from":{"of":"a","at":5},"to":{"of":"a","at":6},"goneDeployments":[{"Namespace":"default","Function":"f","Version":"$latest"}]}`); got != http.StatusNoContent {
		t.Fatalf("a difference: %d", got)
	}
	if now := g.state.Load(); now.Deployment(key("f")) != nil || now.pools[key("f")] != nil || now.Deployment(key("g")) == nil {
		t.Errorf("there are %v", now.pools)
	}
}
