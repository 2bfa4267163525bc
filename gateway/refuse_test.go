package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/processor/calls"
)

// What the gateway answers itself is marked, and no function can mark its own.
func TestRefusalsAreMarked(t *testing.T) {
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(calls.RefusedHeader, "1")
		w.WriteHeader(http.StatusNotFound)
	}))
	defer liar.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	g := newRouter(quiet)
	g.set(t.Context(), route.Table{Deployments: []route.Deployment{
		{Function: "liar", Version: "$latest", Namespace: "default", Address: liar.Listener.Addr().String(), State: route.Serving},
		{Function: "gone", Version: "$latest", Namespace: "default", Address: gone.Listener.Addr().String(), State: route.Serving},
		{Function: "starting", Version: "$latest", Namespace: "default", State: route.Starting},
	}})
	for path, want := range map[string]struct {
		status int
		marked bool
	}{"/liar": {404, false}, "/gone": {502, true}, "/starting": {503, true}, "/nobody": {404, true}} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if marked := w.Header().Get(calls.RefusedHeader) != ""; w.Code != want.status || marked != want.marked {
			t.Errorf("%s: %d, marked %v", path, w.Code, marked)
		}
	}
}
