package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/later"
	"github.com/myelin-run/myelin/quantity"
)

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// counting is a function that counts, waits if it is asked to, and fails if it
// is asked to.
func counting(t *testing.T) (d route.Deployment, calls *atomic.Int64, gate chan struct{}) {
	t.Helper()
	calls, gate = &atomic.Int64{}, make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/wait":
			<-gate
		case "/fail":
			w.WriteHeader(500)
		case "/die":
			if n == 1 {
				panic(http.ErrAbortHandler)
			}
		}
		w.Header().Set("X-Count", fmt.Sprint(n))
		fmt.Fprintf(w, "%d %s %s %s %s", n, r.Method, r.URL.RequestURI(), r.Header.Get("X-A"), body)
	}))
	t.Cleanup(s.Close)
	return route.Deployment{Namespace: "default", Function: "f", Version: "$latest", Address: s.Listener.Addr().String(), State: route.Serving}, calls, gate
}

func TestOneKeyOneAnswer(t *testing.T) {
	d, calls, gate := counting(t)
	_, ask := newPolicies(t, []route.Deployment{d},
		route.Route{Name: "r", Match: route.Match{Path: "/"}, Target: to("f"), Policy: route.Policy{Idempotency: &route.Idempotency{MaxBody: 100, Wait: quantity.Duration(20 * time.Second)}}},
		route.Route{Name: "now", Match: route.Match{Path: "/", Headers: map[string]string{"X-Now": ""}}, Target: to("f"), Policy: route.Policy{Idempotency: &route.Idempotency{Required: true}}})
	resp, text := ask("POST", "/a", "body", "Idempotency-Key", "k1")
	want(t, resp, text, 200, "1 POST /a  body")
	resp, text = ask("POST", "/a", "body", "Idempotency-Key", "k1")
	if want(t, resp, text, 200, "1 POST /a  body"); resp.Header.Get("Idempotent-Replayed") != "true" || resp.Header.Get("X-Count") != "1" {
		t.Errorf("%v", resp.Header)
	}
	resp, text = ask("POST", "/a", "other", "Idempotency-Key", "k1")
	want(t, resp, text, 422, "another request")
	resp, text = ask("POST", "/a", "body", "Idempotency-Key", "k2")
	want(t, resp, text, 200, "2 POST")
	resp, text = ask("POST", "/a", "body")
	want(t, resp, text, 200, "3 POST")
	for _, n := range []string{"4", "5"} { // what failed may be tried again
		resp, text = ask("POST", "/fail", "", "Idempotency-Key", "k3")
		want(t, resp, text, 500, n+" POST")
	}
	resp, text = ask("POST", "/a", strings.Repeat("x", 101), "Idempotency-Key", "k4")
	want(t, resp, text, 413)
	resp, text = ask("POST", "/a", "", "Idempotency-Key", strings.Repeat("k", 300))
	want(t, resp, text, 400)
	resp, text = ask("POST", "/a", "", "X-Now", "1")
	want(t, resp, text, 400, "asks for an Idempotency-Key")
	// Who comes while it is under way waits, or is refused where nobody waits.
	before := calls.Load()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			resp, text := ask("POST", "/wait", "", "Idempotency-Key", "k5")
			want(t, resp, text, 200, fmt.Sprintf("%d POST /wait", before+1))
		})
	}
	until(t, "the call", func() bool { return calls.Load() == before+1 })
	all.Go(func() {
		resp, text := ask("POST", "/wait", "", "Idempotency-Key", "k6", "X-Now", "1")
		want(t, resp, text, 200)
	})
	until(t, "the other call", func() bool { return calls.Load() == before+2 })
	resp, text = ask("POST", "/wait", "", "Idempotency-Key", "k6", "X-Now", "1")
	want(t, resp, text, 409, "under way")
	close(gate)
	all.Wait()
	if n := calls.Load(); n != before+2 {
		t.Errorf("%d calls for two keys", n-before)
	}
}

// keeping gives g a directory for what is answered later, until stop.
func keeping(t *testing.T, g *router, dir string) (stop func()) {
	t.Helper()
	var err error
	if g.later, err = later.New(dir, g.attempt, quiet); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.later.Run(ctx) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(stop)
	return stop
}

func TestAnswersLater(t *testing.T) {
	d, calls, gate := counting(t)
	table := route.Table{Deployments: []route.Deployment{d}, Routes: []route.Route{
		{Name: "r", Match: route.Match{Path: "/api"}, Target: to("f"), Policy: route.Policy{Async: &route.Async{MaxBody: 1000}, Rewrite: &route.Rewrite{StripPrefix: "/api"}}},
		{Name: "shut", Match: route.Match{Path: "/shut"}, Target: to("f"), Policy: route.Policy{Async: &route.Async{Always: true}, Auth: &route.Auth{
			APIKey: &route.APIKey{Keys: []route.Credential{{Name: "a", Hash: sum("ka")}, {Name: "b", Hash: sum("kb")}}}}}},
	}}
	g := newRouter(quiet)
	g.set(t.Context(), table)
	ask := through(t, g)
	resp, text := ask("POST", "/api/x", "body", "Prefer", "respond-async")
	want(t, resp, text, 501)
	dir := filepath.Join(t.TempDir(), "later")
	stop := keeping(t, g, dir)
	fetch := func(at string, header ...string) string {
		t.Helper()
		var text string
		until(t, "the result", func() bool {
			var resp *http.Response
			resp, text = ask("GET", at, "", header...)
			return resp.Header.Get(ResultHeader) == "done"
		})
		return text
	}
	resp, text = ask("POST", "/api/x?y", "body", "Prefer", "wait=1, respond-async", "X-A", "b")
	at := resp.Header.Get("Location")
	if want(t, resp, text, 202, `"location":"/-/results/`); at == "" || resp.Header.Get("Preference-Applied") != "respond-async" {
		t.Fatalf("%v", resp.Header)
	}
	if got := fetch(at); got != "1 POST /x?y b body" {
		t.Errorf("result %q", got)
	}
	resp, text = ask("DELETE", at, "")
	want(t, resp, text, 204)
	for _, path := range []string{at, "/-/results/", "/-/results/../../../etc/passwd", "/-/results/" + strings.Repeat("0", 32)} {
		resp, text = ask("GET", path, "")
		want(t, resp, text, 404)
	}
	resp, text = ask("POST", "/api/x", strings.Repeat("x", 1001), "Prefer", "respond-async")
	want(t, resp, text, 413)
	resp, text = ask("GET", "/api/x", "")
	want(t, resp, text, 200, "2 GET /x")
	// A function that dies is asked again.
	calls.Store(0)
	resp, _ = ask("POST", "/api/die", "", "Prefer", "respond-async")
	if got := fetch(resp.Header.Get("Location")); got != "2 POST /die  " {
		t.Errorf("after a death: %q", got)
	}
	// Who asked may fetch, and nobody else.
	resp, _ = ask("POST", "/shut", "", "X-Api-Key", "ka")
	at = resp.Header.Get("Location")
	if got := fetch(at, "X-Api-Key", "ka"); !strings.Contains(got, "POST /shut") {
		t.Errorf("result %q", got)
	}
	for key, status := range map[string]int{"": 401, "kb": 404} {
		resp, text = ask("GET", at, "", "X-Api-Key", key)
		want(t, resp, text, status)
	}
	// What was put off outlives the gateway: another one goes on.
	stop()
	before := calls.Load()
	resp, _ = ask("POST", "/api/wait", "", "Prefer", "respond-async")
	at = resp.Header.Get("Location")
	resp, text = ask("GET", at, "")
	if want(t, resp, text, 202, "pending"); resp.Header.Get(ResultHeader) != "pending" {
		t.Errorf("%v", resp.Header)
	}
	if files, _ := os.ReadDir(dir); len(files) == 0 || calls.Load() != before {
		t.Errorf("%d files, %d calls", len(files), calls.Load()-before)
	}
	g = newRouter(quiet)
	g.set(t.Context(), table)
	ask = through(t, g)
	keeping(t, g, dir)
	close(gate)
	if got := fetch(at); !strings.Contains(got, "POST /wait") {
		t.Errorf("result %q", got)
	}
}
