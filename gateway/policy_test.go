package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/processor/calls"
	"github.com/myelin-run/myelin/quantity"
)

// through serves g on a port of its own, and asks it.
func through(t *testing.T, g *router) func(method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	srv := front.New(g)
	srv.Engine = engine()
	go func() { done <- srv.Serve(ctx, []front.Listener{{Listener: l}}, 0, 20*time.Second) }()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return func(method, path, body string, header ...string) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, "http://"+l.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			if header[i] == "Host" {
				r.Host = header[i+1]
			}
			r.Header.Add(header[i], header[i+1])
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(b)
	}
}

// said is a function that answers with what it got, slowly if it is asked to.
func said(t *testing.T, name string) route.Deployment {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d, err := time.ParseDuration(r.URL.Query().Get("sleep")); err == nil {
			select {
			case <-time.After(d):
			case <-r.Context().Done():
			}
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Access-Control-Allow-Origin", "function")
		fmt.Fprintf(w, "%s %s %s subject=%s key=%s auth=%s body=%d", name, r.Method, r.URL.RequestURI(), r.Header.Get(SubjectHeader), r.Header.Get("X-Api-Key"), r.Header.Get("Authorization"), len(body))
	}))
	t.Cleanup(s.Close)
	fn, version, _ := strings.Cut(name, ":")
	if version == "" {
		version = function.Latest
	}
	return route.Deployment{Namespace: "default", Function: fn, Version: version, Address: s.Listener.Addr().String(), State: route.Serving}
}

func to(name string) route.Target {
	t := route.Named(name)
	return t
}

func sum(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

func newPolicies(t *testing.T, ds []route.Deployment, rs ...route.Route) (*router, func(method, path, body string, header ...string) (*http.Response, string)) {
	t.Helper()
	g := newRouter(quiet)
	g.set(t.Context(), route.Table{Deployments: ds, Routes: rs})
	return g, through(t, g)
}

func want(t *testing.T, resp *http.Response, text string, status int, parts ...string) {
	t.Helper()
	if resp.StatusCode != status {
		t.Errorf("status %d, want %d: %s", resp.StatusCode, status, text)
	}
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("no %q in %s", p, text)
		}
	}
}

func TestLimitsOfARoute(t *testing.T) {
	_, ask := newPolicies(t, []route.Deployment{said(t, "f")},
		route.Route{Name: "r", Match: route.Match{Path: "/api"}, Target: to("f"), Policy: route.Policy{
			Timeout: quantity.Duration(200 * time.Millisecond), MaxBody: 10, Rewrite: &route.Rewrite{StripPrefix: "/api", AddPrefix: "/v2"},
		}},
		route.Route{Name: "few", Match: route.Match{Path: "/few"}, Target: to("f"), Policy: route.Policy{RateLimit: &route.RateLimit{PerClient: 0.001, ClientBurst: 2, Client: "header:X-User"}}})
	resp, text := ask("POST", "/api/x?y=1", "0123456789")
	want(t, resp, text, 200, "f POST /v2/x?y=1 ", "body=10")
	resp, text = ask("GET", "/api?y", "")
	want(t, resp, text, 200, "f GET /v2/?y ")
	resp, text = ask("POST", "/api", "0123456789a")
	want(t, resp, text, 413, "larger than this route takes")
	resp, text = ask("GET", "/api?sleep=20s", "")
	want(t, resp, text, 504, "did not answer in the time")
	for i, status := range []int{200, 200, 429} {
		resp, text = ask("GET", "/few", "", "X-User", "a")
		if want(t, resp, text, status); i == 2 && (resp.Header.Get("Retry-After") == "" || resp.Header.Get(calls.RefusedHeader) == "") {
			t.Errorf("%v", resp.Header)
		}
	}
	resp, text = ask("GET", "/few", "", "X-User", "b")
	want(t, resp, text, 200)
}

// A body without a length is cut off where the limit is.
func TestChunkedBodiesAreLimited(t *testing.T) {
	g, _ := newPolicies(t, []route.Deployment{said(t, "f")}, route.Route{Name: "r", Target: to("f"), Policy: route.Policy{MaxBody: 100_000}})
	for size, status := range map[int]int{100_000: 200, 300_000: 413} {
		r := httptest.NewRequest("POST", "/x", io.LimitReader(zeros{}, int64(size)))
		r.ContentLength = -1
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%d bytes: %d %s", size, w.Code, w.Body)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestWhoMayCall(t *testing.T) {
	g, ask := newPolicies(t, []route.Deployment{said(t, "f"), said(t, "open")},
		route.Route{Name: "shut", Match: route.Match{Path: "/in"}, Target: to("f"), Policy: route.Policy{Auth: &route.Auth{
			APIKey: &route.APIKey{Keys: []route.Credential{{Name: "shop", Hash: sum("k")}}}, Basic: &route.Basic{Users: []route.Credential{{Name: "ada", Hash: sum("pw")}}},
		}}},
		route.Route{Name: "all", Match: route.Match{Path: "/"}, Target: to("open")})
	resp, text := ask("GET", "/in", "", "X-Api-Key", "k", SubjectHeader, "root")
	want(t, resp, text, 200, "subject=shop key= ")
	resp, text = ask("GET", "/in", "", "Authorization", "Basic YWRhOnB3")
	want(t, resp, text, 200, "subject=ada ", "auth= ")
	resp, text = ask("GET", "/other", "", SubjectHeader, "root")
	want(t, resp, text, 200, "open GET /other subject= ")
	for _, c := range [][]string{
		{"/in"}, {"/in", "X-Api-Key", "x"}, {"/in", "Authorization", "Basic YWRhOng="}, {"/in", "Connection", "X-Api-Key", "X-Api-Key", "x"},
		// No other way of writing the path goes round the route.
		{"/x/../in"}, {"//in"}, {"/%69n"}, {"/./in"}, {"/in%2f"}, {"/in/"}, {"/x/%2e%2e/in"}, {"/in/x/../../in"},
	} {
		resp, text := ask("GET", c[0], "", c[1:]...)
		if want(t, resp, text, 401); resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%v: no challenge", c)
		}
	}
	// Nor does the function's name.
	resp, text = ask("GET", "/x", "", TargetHeader, "f")
	want(t, resp, text, 403, "by its routes only")
	g.set(t.Context(), route.Table{Deployments: []route.Deployment{said(t, "f")}, Routes: []route.Route{{Name: "shut", Match: route.Match{Path: "/in"}, Target: to("f"), Policy: route.Policy{Auth: &route.Auth{
		APIKey: &route.APIKey{Keys: []route.Credential{{Name: "x", Hash: "nonsense"}}}}}}}})
	resp, text = ask("GET", "/in", "", "X-Api-Key", "k")
	want(t, resp, text, 500, "cannot be kept")
	resp, text = ask("GET", "/f", "")
	want(t, resp, text, 403)
}

func TestCORSOfARoute(t *testing.T) {
	_, ask := newPolicies(t, []route.Deployment{said(t, "f")}, route.Route{Name: "r", Match: route.Match{Path: "/f"}, Target: to("f"), Policy: route.Policy{
		CORS: &route.CORS{Origins: []string{"https://a.example"}, Credentials: true, Expose: []string{"X-A"}},
		Auth: &route.Auth{APIKey: &route.APIKey{Keys: []route.Credential{{Name: "a", Hash: sum("k")}}}},
	}})
	resp, text := ask("OPTIONS", "/f", "", "Origin", "https://a.example", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-api-key")
	h := resp.Header
	want(t, resp, text, 204)
	if h.Get("Access-Control-Allow-Origin") != "https://a.example" || h.Get("Access-Control-Allow-Methods") != "PUT" || h.Get("Access-Control-Allow-Headers") != "x-api-key" || h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("preflight: %v", h)
	}
	resp, text = ask("GET", "/f", "", "Origin", "https://a.example", "X-Api-Key", "k")
	if want(t, resp, text, 200); strings.Join(resp.Header["Access-Control-Allow-Origin"], " ") != "https://a.example" || resp.Header.Get("Access-Control-Expose-Headers") != "X-A" {
		t.Errorf("answer: %v", resp.Header)
	}
	resp, text = ask("GET", "/f", "", "Origin", "https://a.example")
	if want(t, resp, text, 401); resp.Header.Get("Access-Control-Allow-Origin") != "https://a.example" {
		t.Errorf("a page cannot read why: %v", resp.Header)
	}
	for _, c := range [][]string{{"OPTIONS", "204"}, {"GET", "200"}} {
		resp, _ = ask(c[0], "/f", "", "Origin", "https://b.example", "Access-Control-Request-Method", "PUT", "X-Api-Key", "k")
		if resp.Header.Get("Access-Control-Allow-Origin") != "" || fmt.Sprint(resp.StatusCode) != c[1] {
			t.Errorf("%s of another origin: %d %v", c[0], resp.StatusCode, resp.Header)
		}
	}
}

// Aliases deal over the connection, and what was answered is counted by version.
func TestAliasesAndStats(t *testing.T) {
	g := newRouter(quiet)
	g.set(t.Context(), route.Table{
		Deployments: []route.Deployment{said(t, "f"), said(t, "f:1"), said(t, "f:2")},
		Aliases: []route.Alias{{Namespace: "default", Function: "f", Name: "prod", Versions: []function.Weighted{{Version: "1", Weight: 50}, {Version: "2", Weight: 50}}, Sticky: &function.Sticky{Cookie: "who"},
			Rules: []function.Rule{{Header: "X-Beta", Version: "2"}}}},
		Routes: []route.Route{{Name: "shop", Match: route.Match{Hosts: []string{"shop.example"}}, Target: route.Target{Namespace: "default", Function: "f", Alias: "prod"}}},
	})
	ask := through(t, g)
	for range 5 {
		resp, text := ask("GET", "/a", "", "Host", "Shop.example:8080", "X-Beta", "1")
		want(t, resp, text, 200, "f:2 GET /a ")
	}
	resp, first := ask("GET", "/f:prod/a", "")
	set := resp.Header.Get("Set-Cookie")
	if !strings.Contains(set, "who=") || !strings.Contains(set, "HttpOnly") {
		t.Fatalf("cookie %q", set)
	}
	cookie, _, _ := strings.Cut(set, ";")
	for range 20 {
		if _, text := ask("GET", "/f:prod/a", "", "Cookie", cookie); text != first {
			t.Errorf("%s, first %s", text, first)
		}
	}
	for until := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) { // a request is counted once it is answered
		w := httptest.NewRecorder()
		g.admin().ServeHTTP(w, httptest.NewRequest("GET", "/stats", nil))
		var s Stats
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		total := int64(0)
		for _, x := range s.Samples {
			if x.Function == "f" && x.Version == "2" && x.Route == "shop" && (x.Requests != 5 || x.P99 == 0) {
				t.Errorf("%+v", x)
			}
			total += x.Requests
		}
		if total == 26 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%d requests were counted: %s", total, w.Body)
		}
	}
	w := httptest.NewRecorder()
	g.admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), `route="shop",namespace="default",function="f",version="2",alias="prod",status="2xx"} 5`) {
		t.Errorf("%s", w.Body)
	}
}

func FuzzCanonical(f *testing.F) {
	f.Add("/a/../b")
	f.Add("/%2e%2e//x%")
	f.Fuzz(func(t *testing.T, p string) {
		got := canonical("/" + p)
		if !strings.HasPrefix(got, "/") || strings.Contains(got, "//") || strings.Contains(got+"/", "/../") || strings.Contains(got+"/", "/./") {
			t.Errorf("%q became %q", p, got)
		}
	})
}
