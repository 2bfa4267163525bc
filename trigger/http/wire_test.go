package http

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// serving is a trigger that runs until its test ends.
type serving struct {
	addr string
	stop context.CancelFunc
	done chan error
}

func serve(t testing.TB, attributes string, h trigger.HandlerFunc) *serving {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, attributes, ln, h)
}

func serveOn(t testing.TB, attributes string, ln net.Listener, h trigger.HandlerFunc) *serving {
	t.Helper()
	trg := newTrigger(t, attributes, ln)
	ctx, cancel := context.WithCancel(context.Background())
	s := &serving{addr: ln.Addr().String(), stop: cancel, done: make(chan error, 1)}
	go func() { s.done <- trg.Run(ctx, submits{h}); close(s.done) }()
	t.Cleanup(func() {
		cancel()
		if err := <-s.done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

const quick = `{"drainLinger":"10ms"}`

func echo(_ context.Context, ev *event.Event, resp *event.Response) error {
	resp.Body = append(resp.Body, ev.Body...)
	return nil
}

// rawClient is a client that sees every byte.
type rawClient struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *rawClient {
	t.Helper()
	if os.Getenv(engineEnv) == onTrunks {
		tr, _ := lay(t, addr)
		return onTrunk(t, tr)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &rawClient{c, t, bufio.NewReader(c)}
}

func (w *rawClient) send(s string) {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, s); err != nil {
		w.t.Fatalf("write: %v", err)
	}
}

// recv reads one response and its body.
func (w *rawClient) recv(method string) (*http.Response, string) {
	w.t.Helper()
	resp, err := http.ReadResponse(w.r, &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("read response: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("read body: %v", err)
	}
	return resp, string(b)
}

// closed wants the server to have closed the connection in order.
func (w *rawClient) closed() {
	w.t.Helper()
	if b, err := w.r.ReadByte(); err != io.EOF {
		w.t.Errorf("read %q, %v from a connection that should be closed", b, err)
	}
}

// Requests that are refused: a status, and a connection closed in order.
func TestRefused(t *testing.T) {
	s := serve(t, `{"drainLinger":"10ms","maxRequestBodySize":1000,"readBufferSize":2048,"maxHeaderBytes":1024,"readTimeout":"300ms"}`, echo)
	big := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		name, send string
		status     int
		open       bool // the connection goes on
	}{
		{"body too large", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + big, 413, false},
		{"body too large, not sent", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", 413, false},
		{"body too large, in chunks", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + big + "\r\n0\r\n\r\n", 413, false},
		{"body too large, expecting", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n", 413, false},
		{"header too large for the buffer", "GET / HTTP/1.1\r\nHost: h\r\nX-Big: " + big + "\r\n\r\n", 431, false},
		{"header too large for the limit", "GET / HTTP/1.1\r\nHost: h\r\nX-Big: " + big[:1500] + "\r\n\r\n", 431, true},
		{"malformed line", "GET\r\n\r\n", 400, false},
		{"malformed header", "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400, false},
		{"length that is no number", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ten\r\n\r\n", 400, false},
		{"two lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, false},
		{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, false},
		{"slow body", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc", 408, false},
		{"slow header", "POST / HTTP/1.1\r\nHo", 408, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := dial(t, s.addr)
			_, _ = io.WriteString(w.Conn, c.send) // the server may close before it has all
			resp, body := w.recv("POST")
			if resp.StatusCode != c.status {
				t.Errorf("status %d %q, want %d", resp.StatusCode, body, c.status)
			}
			if resp.Close == c.open {
				t.Errorf("Connection: close is %v, want %v", resp.Close, !c.open)
			}
			if !c.open {
				w.closed()
			}
		})
	}
}

func TestContinue(t *testing.T) {
	s := serve(t, quick, echo)
	w := dial(t, s.addr)
	w.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if resp, _ := w.recv("POST"); resp.StatusCode != 100 {
		t.Fatalf("status %d, want 100", resp.StatusCode)
	}
	w.send("hello")
	if resp, body := w.recv("POST"); resp.StatusCode != 200 || body != "hello" {
		t.Errorf("status %d %q", resp.StatusCode, body)
	}
}

func TestKeepAlivePipelineHeadClose(t *testing.T) {
	s := serve(t, quick, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		resp.Body = append(append(resp.Body, ev.Path...), ev.Body...)
		return nil
	})
	w := dial(t, s.addr)
	var all strings.Builder
	for i := range 20 {
		fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", i)
	}
	w.send(all.String())
	for i := range 20 {
		if resp, body := w.recv("POST"); resp.StatusCode != 200 || body != fmt.Sprintf("/%dabc", i) {
			t.Fatalf("pipelined %d: %d %q", i, resp.StatusCode, body)
		}
	}
	w.send("HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n")
	if resp, body := w.recv("HEAD"); resp.ContentLength != 5 || body != "" {
		t.Errorf("HEAD: length %d, body %q", resp.ContentLength, body)
	}
	w.send("GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if resp, body := w.recv("GET"); !resp.Close || body != "/last" {
		t.Errorf("last: close %v, body %q", resp.Close, body)
	}
	w.closed()
}

// An event is the request, byte for byte.
func TestEvent(t *testing.T) {
	events := make(chan *event.Event, 1)
	s := serve(t, quick, func(_ context.Context, ev *event.Event, _ *event.Response) error {
		events <- ev.Clone()
		return nil
	})
	w := dial(t, s.addr)
	w.send("PUT /a%20b/c?x=1&y=a%26b&x=2 HTTP/1.1\r\nHost: h\r\nX-Bytes: \xff\xfe caf\xe9\r\nX-Request-Id: my-id\r\n" +
		"Content-Type: multipart/form-data; boundary=b\r\nX-Nuclio-Log-Level: warn\r\nContent-Length: 13\r\n\r\n--b\r\nraw\x00\r\n--")
	resp, _ := w.recv("PUT")
	ev := <-events
	for what, c := range map[string][2]string{
		"method":       {string(ev.Method), "PUT"},
		"path":         {string(ev.Path), "/a b/c"},
		"url":          {string(ev.URL), "/a%20b/c?x=1&y=a%26b&x=2"},
		"content type": {string(ev.ContentType), "multipart/form-data; boundary=b"},
		"body":         {string(ev.Body), "--b\r\nraw\x00\r\n--"},
		"header":       {string(ev.Header("x-bytes")), "\xff\xfe caf\xe9"},
		"field":        {string(ev.Field("y")), "a&b"},
		"first field":  {string(ev.Field("x")), "1"},
		"id":           {string(ev.ID), "my-id"},
		"id sent back": {resp.Header.Get("X-Request-Id"), "my-id"},
		"level":        {ev.LogLevel.String(), "WARN"},
		"server":       {resp.Header.Get("Server"), ""},
		"response":     {resp.Header.Get("Content-Type"), "text/plain; charset=utf-8"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %q, want %q", what, c[0], c[1])
		}
	}
	if !ev.LogAsked || ev.Header("absent") != nil || ev.Field("absent") != nil {
		t.Errorf("asked %v, absent header %q, absent field %q", ev.LogAsked, ev.Header("absent"), ev.Field("absent"))
	}
	if d := time.Since(ev.Time); d < 0 || d > time.Minute {
		t.Errorf("time %v", ev.Time)
	}
}

func TestHealthNeedsNoFunction(t *testing.T) {
	s := serve(t, quick, func(context.Context, *event.Event, *event.Response) error { return event.ErrBusy })
	resp, err := http.Get("http://" + s.addr + "/__internal/health")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestThousandConnections(t *testing.T) {
	s := serve(t, quick, echo)
	conns := make([]*rawClient, 1000)
	for i := range conns {
		conns[i] = dial(t, s.addr)
	}
	var wg sync.WaitGroup
	for i, w := range conns {
		wg.Go(func() {
			for round := range 3 {
				want := fmt.Sprintf("%04d %d", i, round)
				w.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n" + want)
				if resp, body := w.recv("POST"); resp.StatusCode != 200 || body != want {
					t.Errorf("%d %q, want %q", resp.StatusCode, body, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestLimits(t *testing.T) {
	hold := make(chan struct{})
	inside := make(chan struct{}, 4)
	s := serve(t, `{"drainLinger":"10ms","maxConnections":2,"concurrency":1}`, func(context.Context, *event.Event, *event.Response) error {
		inside <- struct{}{}
		<-hold
		return nil
	})
	const get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
	first, second, third := dial(t, s.addr), dial(t, s.addr), (*rawClient)(nil)
	first.send(get)
	<-inside
	second.send(get)
	if resp, _ := second.recv("GET"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("beyond concurrency: %d", resp.StatusCode)
	}
	third = dial(t, s.addr)
	third.send(get)
	if resp, body := third.recv("GET"); resp.StatusCode != 503 || !resp.Close || body != `{"error":"too many connections"}` {
		t.Errorf("beyond maxConnections: %d %q", resp.StatusCode, body)
	}
	close(hold)
	if resp, _ := first.recv("GET"); resp.StatusCode != 200 {
		t.Errorf("held: %d", resp.StatusCode)
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	trg := newTrigger(t, fmt.Sprintf(`{"host":"127.0.0.1","port":%d}`, port), nil)
	err = trg.Run(t.Context(), trigger.HandlerFunc(echo))
	if want := fmt.Sprintf("listen on 127.0.0.1:%d: address already in use", port); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

type handlerFunc = trigger.HandlerFunc
