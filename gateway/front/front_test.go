package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// echo answers with what it got.
type echo struct{ block chan struct{} }

func (e *echo) Serve(c *Call) {
	switch string(c.Req.Path()) {
	case "/refuse":
		c.Reply(http.StatusTeapot, []byte("no"))
		return
	case "/wait":
		<-e.block
	case "/abort":
		return
	}
	if err := c.Want(); err != nil {
		return
	}
	b, err := io.ReadAll(&c.Body)
	if err != nil {
		c.Reply(http.StatusBadRequest, []byte(err.Error()))
		return
	}
	c.Reply(http.StatusOK, fmt.Appendf(nil, "%s %s %s %s", c.Req.Method, c.Req.Target, c.Req.Host, b))
}

func (e *echo) Broken(*Call) {}

// serve runs a server; what set does is done before.
func serve(t testing.TB, h Handling, conf *tls.Config, set func(*Server)) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(h)
	s.Engine = engine()
	if set != nil {
		set(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, []Listener{{l, conf}}, 50*time.Millisecond, 20*time.Second) }()
	ended := false
	stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String(), stop
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// say sends text and reads all that comes until the connection ends.
func say(t *testing.T, addr, text string) string {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("after %q: %v", got, err)
	}
	return string(got)
}

func TestPipelinesAndEnds(t *testing.T) {
	addr, _ := serve(t, &echo{}, nil, nil)
	got := say(t, addr, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"+
		"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n2\r\nef\r\n0\r\n\r\n"+
		"HEAD /c HTTP/1.1\r\nHost: x\r\n\r\n"+
		"GET /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxx"+
		"GET /d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /e HTTP/1.1\r\n")
	for _, want := range []string{"POST /a x abc", "POST /b x def", "Content-Length: 10\r\n", "418 I'm a teapot", "Connection: close\r\n\r\nGET /d x "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	if strings.Count(got, "HTTP/1.1 ") != 5 {
		t.Errorf("not five answers: %q", got)
	}
	if got := say(t, addr, "GET /old HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "GET /old  ") || !strings.Contains(got, "Connection: close") {
		t.Errorf("HTTP/1.0: %q", got)
	}
	if got := say(t, addr, "GET /abort HTTP/1.1\r\nHost: x\r\n\r\n"); got != "" {
		t.Errorf("an answer that was given up: %q", got)
	}
}

// A request in doubt ends its connection, and nothing behind it is read as
// another request.
func TestSmuggledRequestsAreNotSeen(t *testing.T) {
	addr, _ := serve(t, &echo{}, nil, nil)
	const second = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for text, status := range map[string]string{
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + second: "400",
		"POST / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n" + second:                                               "400",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel\r\n" + second:                   "400",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n" + second:                          "400",
		"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n" + second:                              "418",
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 100<<10) + "\r\n\r\n" + second:                   "431",
	} {
		got := say(t, addr, text)
		if !strings.HasPrefix(got, "HTTP/1.1 "+status) || strings.Contains(got, "smuggled") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%.80q: %.300q", text, got)
		}
	}
}

func TestLargeHeads(t *testing.T) {
	addr, _ := serve(t, &echo{}, nil, nil)
	got := say(t, addr, "POST /big HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("y", 40<<10)+"\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")
	if !strings.HasSuffix(got, "POST /big x abc") {
		t.Errorf("got %.300q", got)
	}
}

func TestContinue(t *testing.T) {
	addr, _ := serve(t, &echo{}, nil, nil)
	c := dial(t, addr)
	fmt.Fprintf(c, "POST /c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
	br := bufio.NewReader(c)
	if l, err := br.ReadString('\n'); err != nil || l != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", l, err)
	}
	_, _ = br.ReadString('\n')
	fmt.Fprint(c, "abc")
	if l, err := br.ReadString('\n'); err != nil || l != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("%q, %v", l, err)
	}
	if got := say(t, addr, "POST /refuse HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 418") || !strings.Contains(got, "Connection: close") {
		t.Errorf("refused: %q", got)
	}
}

// Who is slow is told so or left, and does not keep others waiting.
func TestSlowClients(t *testing.T) {
	addr, _ := serve(t, &echo{}, nil, func(s *Server) {
		s.Head, s.Idle, s.Stall = 200*time.Millisecond, 300*time.Millisecond, 200*time.Millisecond
	})
	if got := say(t, addr, "GET / HTTP/1.1\r\nHost:"); !strings.HasPrefix(got, "HTTP/1.1 408") {
		t.Errorf("half a head: %q", got)
	}
	if got := say(t, addr, ""); got != "" {
		t.Errorf("nothing: %q", got)
	}
	if got := say(t, addr, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"); !strings.HasPrefix(got, "HTTP/1.1 400") || !strings.Contains(got, "timeout") {
		t.Errorf("half a body: %q", got)
	}
}

// A server that ends answers what is under way and what comes meanwhile.
func TestDrain(t *testing.T) {
	e := &echo{make(chan struct{})}
	addr, stop := serve(t, e, nil, nil)
	idle, busy := dial(t, addr), dial(t, addr)
	br, busyBr := bufio.NewReader(idle), bufio.NewReader(busy)
	var resp *http.Response
	var err error
	for c, r := range map[net.Conn]*bufio.Reader{idle: br, busy: busyBr} { // both have been accepted then
		fmt.Fprint(c, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, err = http.ReadResponse(r, nil); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	fmt.Fprint(busy, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for end := time.Now().Add(20 * time.Second); ; {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(end) {
			t.Fatal("it still listens")
		}
	}
	fmt.Fprint(idle, "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, err = http.ReadResponse(br, nil); err == nil && !resp.Close {
		t.Errorf("not told to close: %+v", resp)
	} // an error: it had been idle for its linger
	close(e.block)
	if resp, err = http.ReadResponse(busyBr, nil); err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("%+v, %v", resp, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// HTTP/2 comes by TLS and in the clear, and looks alike to the handler.
func TestHTTP2(t *testing.T) {
	pair := httptest.NewTLSServer(nil)
	defer pair.Close()
	conf := &tls.Config{Certificates: pair.TLS.Certificates, NextProtos: []string{"h2", "http/1.1"}}
	secure, _ := serve(t, &echo{}, conf, nil)
	plain, _ := serve(t, &echo{}, nil, nil)
	for _, c := range []struct {
		url   string
		h2    bool
		proto int
	}{{"https://" + secure, true, 2}, {"https://" + secure, false, 1}, {"http://" + plain, true, 2}, {"http://" + plain, false, 1}} {
		tr := &http.Transport{TLSClientConfig: pair.Client().Transport.(*http.Transport).TLSClientConfig.Clone(), Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(!c.h2)
		tr.Protocols.SetHTTP2(c.h2)
		tr.Protocols.SetUnencryptedHTTP2(c.h2)
		client := &http.Client{Transport: tr, Timeout: 30 * time.Second}
		for _, size := range []int{0, 3, 300 << 10} {
			resp, err := client.Post(c.url+"/p?q", "text/plain", strings.NewReader(strings.Repeat("z", size)))
			if err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || resp.ProtoMajor != c.proto || !strings.HasPrefix(string(b), "POST /p?q ") || strings.Count(string(b), "z") != size {
				t.Errorf("%+v: HTTP/%d %.60q (%d), %v", c, resp.ProtoMajor, b, len(b), err)
			}
			resp.Body.Close()
		}
		if resp, err := client.Get(c.url + "/abort"); err == nil {
			t.Errorf("%+v: an answer that was given up: %+v", c, resp)
		}
		client.CloseIdleConnections()
	}
}
