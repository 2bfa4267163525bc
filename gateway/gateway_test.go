package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/processor/handoff"
)

var quiet = slog.New(slog.DiscardHandler)

// someFunction answers with what it got.
func someFunction(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := r.Header
		fmt.Fprintf(w, "%s %s host=%s prefix=%s for=%s body=%s", r.Method, r.URL.RequestURI(), r.Host, h.Get("X-Forwarded-Prefix"), h.Get("X-Forwarded-For"), body)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func ask(t *testing.T, h http.Handler, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

func TestRoutes(t *testing.T) {
	g := newRouter(quiet)
	if resp, text := ask(t, g, "GET", "/hello", ""); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("without routes: %d %s", resp.StatusCode, text)
	}
	g.set(t.Context(), route.Table{Deployments: []route.Deployment{
		{Function: "hello", Version: "$latest", Namespace: "default", Address: someFunction(t), State: route.Serving},
		{Function: "hidden", Version: "$latest", Namespace: "other", Address: someFunction(t), State: route.Serving},
		{Function: "soon", Version: "$latest", Namespace: "default", State: route.Starting},
		{Function: "broken", Version: "$latest", Namespace: "default", Address: "127.0.0.1:1", State: route.Down, Message: "exit code 1"},
		{Function: "gone", Version: "$latest", Namespace: "default", Address: "127.0.0.1:1", State: route.Serving},
	}})
	for _, c := range []struct {
		path, body string
		header     []string
		code       int
		want       string
	}{
		{"/hello", "b", nil, 200, "POST / host=example.com prefix=/hello for=192.0.2.1 body=b"},
		{"/hello/a%2Fb/c?x=1", "", nil, 200, "POST /a%2Fb/c?x=1 host"},
		{"/any/path", "", []string{TargetHeader, "hello"}, 200, "POST /any/path host"},
		{"/hello", "", []string{"X-Forwarded-For", "6.6.6.6"}, 200, "for=192.0.2.1 "},
		{"/helo", "", nil, 404, "unknown function helo, did you mean hello?"},
		{"/hidden", "", nil, 404, "unknown function hidden"},
		{"/soon", "", nil, 503, "is starting"},
		{"/broken", "", nil, 502, "function broken is down: exit code 1"},
		{"/gone", "", nil, 502, "function gone did not answer"},
		{"/healthz", "", nil, 200, "ok"},
		{"/", "", nil, 200, "/hello\tserving\n/soon\tstarting\n"},
		{"/", "", []string{"Accept", "application/json"}, 200, `{"name":"hello","path":"/hello","state":"serving"}`},
	} {
		if resp, text := ask(t, g, "POST", c.path, c.body, c.header...); resp.StatusCode != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s, want %d %s", c.path, resp.StatusCode, text, c.code, c.want)
		} else if c.code >= 400 && !json.Valid([]byte(text)) {
			t.Errorf("%s: not JSON: %s", c.path, text)
		}
	}
}

// Both bodies flow while the request is under way.
func TestBodiesAreStreamed(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.EnableFullDuplex()
		for in := bufio.NewScanner(r.Body); in.Scan(); {
			fmt.Fprintln(w, in.Text())
			_ = c.Flush()
		}
	}))
	defer echo.Close()
	g := newRouter(quiet)
	g.set(t.Context(), route.Table{Deployments: []route.Deployment{{Function: "echo", Version: "$latest", Namespace: "default", Address: echo.Listener.Addr().String(), State: route.Serving}}})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		g.ServeHTTP(w, r)
	}))
	defer front.Close()
	r, w := io.Pipe()
	go fmt.Fprintln(w, "one")
	resp, err := http.Post(front.URL+"/echo", "text/plain", r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	for _, want := range []string{"one", "two"} {
		if want == "two" {
			fmt.Fprintln(w, want)
		}
		if !in.Scan() || in.Text() != want {
			t.Fatalf("got %q, %v, want %s", in.Text(), in.Err(), want)
		}
	}
	w.Close()
}

// A new generation waits for requests that chose an old connection, but not
// for ever.
func TestNewGenerationUsesNewConnections(t *testing.T) {
	remote := make(chan string, 8)
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		remote <- r.RemoteAddr
		if r.URL.Path == "/slow" {
			<-release
		}
	}))
	defer s.Close()
	defer close(release)
	g := newRouter(quiet)
	table := func(generation string) route.Table {
		return route.Table{Deployments: []route.Deployment{{Function: "f", Version: "$latest", Namespace: "default", Address: s.Listener.Addr().String(), Generation: generation, State: route.Serving}}}
	}
	from := func() string { ask(t, g, "GET", "/f", ""); return <-remote }
	g.set(t.Context(), table("1"))
	a, b := from(), from()
	g.set(t.Context(), table("1"))
	c := from()
	g.set(t.Context(), table("2"))
	d := from()
	if a != b || b != c || c == d {
		t.Errorf("connections %s %s %s, then %s", a, b, c, d)
	}
	slow := make(chan struct{})
	go func() { defer close(slow); ask(t, g, "GET", "/f/slow", "") }()
	<-remote
	start := time.Now()
	g.set(t.Context(), table("3"))
	if took := time.Since(start); took < settleTime || took > 20*settleTime {
		t.Errorf("waited %v for a slow request", took)
	}
	release <- struct{}{}
	<-slow
}

func TestRunServesWhatItIsTold(t *testing.T) {
	dir := t.TempDir()
	socket, err := handoff.Listen("http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer handoff.Close([]handoff.Socket{socket})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{Sockets: []handoff.Socket{socket}, Dir: dir, Scratch: dir, Drain: time.Second, Log: quiet})
	}()
	// Before it is told, connections wait and are not refused; then it answers.
	resp, err := http.Get("http://" + socket.Address() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("status %d", resp.StatusCode)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "ready.json")); err != nil || string(b) != fmt.Sprintf(`{"pid":%d}`, os.Getpid()) {
		t.Errorf("%s, %v", b, err)
	}
	got, err := handoff.Receive(t.Context(), filepath.Join(dir, handoff.File))
	if err != nil || got[0].Address() != socket.Address() {
		t.Errorf("%+v, %v", got, err)
	}
	handoff.Close(got)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}
