package calls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers with what it heard of, and counts connections.
type echo struct {
	*httptest.Server
	connections atomic.Int64
	hold        chan struct{} // /slow waits for it
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	e := &echo{hold: make(chan struct{})}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/slow") {
			select {
			case <-e.hold:
			case <-r.Context().Done():
			}
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/x-echo")
		w.Header().Set("X-Line", r.Method+" "+r.RequestURI)
		w.Header().Set("X-Traceparent", r.Header.Get("traceparent"))
		w.Header().Set("X-Heads", fmt.Sprintf("%v %s %s %s", r.Header["X-Many"], r.Header.Get("Content-Type"), r.Header.Get("Upgrade"), r.Host))
		w.WriteHeader(203)
		_, _ = w.Write(body)
	}))
	e.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			e.connections.Add(1)
		}
	}
	e.Start()
	t.Cleanup(func() {
		close(e.hold)
		e.Close()
	})
	return e
}

func newClient(t *testing.T, functions map[string]string, limit time.Duration) *Client {
	t.Helper()
	c, err := New(Options{Functions: functions, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func do(t *testing.T, c *Client, call runtime.Call) (*event.Response, error) {
	t.Helper()
	call.Kind = runtime.CallFunction
	var a event.Response
	err := c.Do(t.Context(), &call, &a)
	return &a, err
}

func header(a *event.Response, key string) string {
	for _, h := range a.Header {
		if strings.EqualFold(h.Key, key) {
			return h.Value
		}
	}
	return ""
}

// A socket stands for a host and port.
func TestSocket(t *testing.T) {
	e := newEcho(t)
	l, err := net.Listen("unix", t.TempDir()+"/gateway.sock")
	if err != nil {
		t.Fatal(err)
	}
	e.Listener.Close()
	server := &http.Server{Handler: e.Config.Handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	c := newClient(t, map[string]string{"*": "unix:" + l.Addr().String()}, 0)
	a, err := do(t, c, runtime.Call{Name: "f", Path: "/x", Body: []byte("b")})
	if err != nil || string(a.Body) != "b" || header(a, "X-Line") != "POST /f/x" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := New(Options{Functions: map[string]string{"*": "unix:here"}}); err == nil {
		t.Error("a socket without a directory was taken")
	}
}

func TestExchange(t *testing.T) {
	e := newEcho(t)
	c := newClient(t, map[string]string{"*": e.URL + "/base", "own": e.URL}, 0)
	for _, x := range []struct {
		name string
		call runtime.Call
		line string
	}{
		{"defaults", runtime.Call{Name: "f"}, "GET /base/f/"},
		{"a body", runtime.Call{Name: "f", Body: []byte("b")}, "POST /base/f/"},
		{"given", runtime.Call{Name: "f", Method: "PUT", Path: "/a%20b/../c?x=1&y=%26", Body: []byte("b")}, "PUT /base/f/a%20b/../c?x=1&y=%26"},
		{"no slash", runtime.Call{Name: "f", Path: "a"}, "GET /base/f/a"},
		{"a place of its own", runtime.Call{Name: "own", Path: "/x"}, "GET /x"},
		{"large", runtime.Call{Name: "f", Body: bytes.Repeat([]byte("x"), 64<<20)}, "POST /base/f/"},
		{"head", runtime.Call{Name: "f", Method: "HEAD"}, "HEAD /base/f/"},
	} {
		call := x.call
		call.ContentType = "text/x-given"
		call.Headers = []event.Field{{Key: "X-Many", Value: "1"}, {Key: "X-Many", Value: "2"}, {Key: "content-type", Value: "no"}, {Key: "Host", Value: "evil"},
			{Key: "Connection", Value: "upgrade"}, {Key: "Upgrade", Value: "evil"}, {Key: "Content-Length", Value: "999"}, {Key: "Transfer-Encoding", Value: "chunked"}}
		a, err := do(t, c, call)
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		if a.Status != 203 || !bytes.Equal(a.Body, x.call.Body) || header(a, "X-Line") != x.line || a.ContentType != "text/x-echo" {
			t.Errorf("%s: %d %q %q, %d bytes", x.name, a.Status, a.ContentType, header(a, "X-Line"), len(a.Body))
		}
		if got, want := header(a, "X-Heads"), "[1 2] text/x-given  "+strings.TrimPrefix(e.URL, "http://"); got != want {
			t.Errorf("%s: heads %q, want %q", x.name, got, want)
		}
	}
	if n := e.connections.Load(); n != 1 {
		t.Errorf("%d connections for one call after another", n)
	}
}

func TestRefusals(t *testing.T) {
	e := newEcho(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(RefusedHeader, "1")
		w.WriteHeader(404)
		_, _ = io.WriteString(w, `{"detail": "unknown function g"}`)
	}))
	defer gateway.Close()
	c := newClient(t, map[string]string{"f": e.URL, "gone": gone.URL, "*": gateway.URL}, 0)
	alone := newClient(t, nil, 0)
	for _, x := range []struct {
		client *Client
		call   runtime.Call
		status int
		says   string
	}{
		{alone, runtime.Call{Name: "f"}, 404, `function "f" is not known here`},
		{c, runtime.Call{Name: "g"}, 404, `function "g" is not known here: unknown function g`},
		{c, runtime.Call{Name: "../admin"}, 404, `function "../admin" is not known here`},
		{c, runtime.Call{Name: "*"}, 404, `not known`},
		{c, runtime.Call{Name: ""}, 404, `not known`},
		{c, runtime.Call{Name: "gone"}, 502, `function gone is not running`},
		{c, runtime.Call{Name: "f", Method: "A B"}, 400, `method "A B"`},
		{c, runtime.Call{Name: "f", Path: "/ HTTP/1.1\r\nX: y"}, 400, "path"},
		{c, runtime.Call{Name: "f", Headers: []event.Field{{Key: "X", Value: "a\r\nB: c"}}}, 400, `header "X"`},
		{c, runtime.Call{Name: "f", Headers: []event.Field{{Key: "X: a\r\nB", Value: "c"}}}, 400, "header"},
		{c, runtime.Call{Name: "f", Headers: []event.Field{{Key: "", Value: "c"}}}, 400, "header"},
	} {
		_, err := do(t, x.client, x.call)
		var status *event.Error
		if !errors.As(err, &status) || status.Status != x.status || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%+v: %v", x.call, err)
		}
	}
	var a event.Response
	var status *event.Error
	if err := c.Do(t.Context(), &runtime.Call{Kind: 77}, &a); !errors.As(err, &status) || status.Status != 501 {
		t.Errorf("kind 77: %v", err)
	}
	for name, url := range map[string]string{"f": "https://x", "g": "http://", "h": "http://x/?q", "i": ":", "j": "x:80"} {
		if _, err := New(Options{Functions: map[string]string{name: url}}); err == nil || !strings.Contains(err.Error(), "functions."+name) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestTimeoutsAndCancellation(t *testing.T) {
	e := newEcho(t)
	c := newClient(t, map[string]string{"f": e.URL}, 50*time.Millisecond)
	if _, err := do(t, c, runtime.Call{Name: "f", Path: "/slow"}); err == nil || !strings.Contains(err.Error(), "function f did not answer in") {
		t.Errorf("the limit: %v", err)
	}
	c = newClient(t, map[string]string{"f": e.URL}, 0)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		var status *event.Error
		if err := c.Do(ctx, &runtime.Call{Kind: 1, Name: "f", Path: "/slow"}, &event.Response{}); !errors.As(err, &status) || status.Status != 504 {
			t.Errorf("a deadline: %v", err)
		}
		cancel()
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if err := c.Do(ctx, &runtime.Call{Kind: 1, Name: "f", Path: "/slow"}, &event.Response{}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if a, err := do(t, c, runtime.Call{Name: "f", Body: []byte("still")}); err != nil || string(a.Body) != "still" {
			t.Errorf("after that: %v", err)
		}
	}
}

// A connection that its server ended while it was idle is not used.
func TestServerEndsIdleConnections(t *testing.T) {
	e := newEcho(t)
	c := newClient(t, map[string]string{"f": e.URL}, 0)
	for i := range 5 {
		if _, err := do(t, c, runtime.Call{Name: "f", Body: []byte("x")}); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
		e.CloseClientConnections()
	}
}

func TestConcurrentCalls(t *testing.T) {
	e := newEcho(t)
	c := newClient(t, map[string]string{"f": e.URL}, 0)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for k := range 20 {
				body := fmt.Sprint(i, k, strings.Repeat("z", i*100))
				if a, err := do(t, c, runtime.Call{Name: "f", Body: []byte(body)}); err != nil || string(a.Body) != body {
					t.Errorf("%v", err)
				}
			}
		})
	}
	all.Wait()
	if n := e.connections.Load(); n > 64 {
		t.Errorf("%d connections for 64 callers", n)
	}
}

func TestTrace(t *testing.T) {
	c := newClient(t, nil, 0)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for parent, keeps := range map[string]bool{
		"00-" + trace + "-b7ad6b7169203331-00":                   true,
		"cc-" + trace + "-b7ad6b7169203331-00-more":              true,
		"00-" + trace + "-b7ad6b7169203331-00-more":              false,
		"ff-" + trace + "-b7ad6b7169203331-00":                   false,
		"00-" + trace + "-0000000000000000-00":                   false,
		"00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-00": false,
		"00-" + strings.ToUpper(trace) + "-b7ad6b7169203331-00":  false,
		"": false, "-": false, "---": false, "00-\r\n": false,
	} {
		got := strings.Split(c.next(parent, ""), "-")
		if !valid(got) || len(got) != 4 {
			t.Errorf("%q: %v", parent, got)
			continue
		}
		if (got[1] == trace) != keeps || got[2] == "b7ad6b7169203331" || keeps && got[3] != "00" {
			t.Errorf("%q became %v", parent, got)
		}
	}
	one, two, other := c.next("", "id-1"), c.next("", "id-1"), c.next("", "id-2")
	if one[:35] != two[:35] || one == two || one[:35] == other[:35] {
		t.Errorf("calls of one event: %s, %s; of another: %s", one, two, other)
	}
}

func TestFromEnvironment(t *testing.T) {
	t.Setenv(Variable, " a=http://x:1 , *=http://y,b=http://z")
	all, err := FromEnvironment(map[string]string{"b": "http://own"})
	if err != nil || fmt.Sprint(all) != "map[*:http://y a:http://x:1 b:http://own]" {
		t.Errorf("%v, %v", all, err)
	}
	t.Setenv(Variable, "nonsense")
	if _, err := FromEnvironment(nil); err == nil {
		t.Error("nonsense was taken")
	}
}
