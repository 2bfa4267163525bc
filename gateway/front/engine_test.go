package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// engineEnv has every server of this package's tests give its connections to
// loops, instead of goroutines.
const engineEnv = "MYELIN_FRONT_TEST_LOOPS"

// What holds for an engine holds for the other.
func TestWithLoops(t *testing.T) {
	if os.Getenv(engineEnv) != "" {
		return // this is that run
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.count=1", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), engineEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func engine() Engine {
	if os.Getenv(engineEnv) != "" {
		return Loops
	}
	return Goroutines
}

// Batch has an echo begin calls too, each in another of all ways that there are.
func (e *echo) Batch() Batch { return &starts{e: e} }

type starts struct {
	e *echo
	n int
}

func (b *starts) Flush() {}

func (b *starts) Begin(c *Call) Step {
	c.Flight = &started{b.e, c}
	b.n++
	switch path := string(c.Req.Path()); {
	case b.n%5 == 0:
		return Declined
	case b.n%5 == 1 || path == "/abort":
		return Unfinished
	case b.n%5 == 2 && path != "/wait":
		b.e.Serve(c)
		return Answered
	case b.n%5 == 3:
		go c.Landed(false)
		return Begun
	}
	go func() {
		b.e.Serve(c)
		c.Landed(true)
	}()
	return Begun
}

type started struct {
	e *echo
	c *Call
}

func (s *started) Detach() bool { return false }
func (s *started) Finish()      { s.e.Serve(s.c) }
func (s *started) Written()     {}

var date = regexp.MustCompile(`(?m)^Date: .*\r\n`)

// converse sends text in two parts, says that this was all, and returns what
// came of it.
func converse(t *testing.T, addr, text string, cut int) string {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(nc, text[:cut]) // it may be refused before it is all sent
	_, _ = io.WriteString(nc, text[cut:])
	_ = nc.(*net.TCPConn).CloseWrite()
	all, _ := io.ReadAll(nc) // a reset is an end too
	return date.ReplaceAllString(string(all), "")
}

// FuzzEngines sends the same bytes to both engines, which answer the same.
func FuzzEngines(f *testing.F) {
	const get, post = "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n", "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
	for _, text := range []string{
		get, post, get + post + get, strings.Repeat(get+post, 20), "\r\n\r\n" + get, "\r\r\n" + get,
		"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + get,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + get,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000) + get,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc", "GET / HTTP/1.1\nHost: h\n\n" + get, "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n" + get,
		"HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n" + get, "GET /refuse HTTP/1.1\r\nHost: h\r\n\r\n" + get, "GET /abort HTTP/1.1\r\nHost: h\r\n\r\n" + get,
		"GET / HTTP/1.0\r\n\r\n" + get, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get, "GET http://h/p HTTP/1.1\r\nHost: x\r\n\r\n" + get,
		"POST /c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc" + get,
		"GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("y", 70<<10) + "\r\n\r\n" + get,
		"GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("y", 20<<10) + "\r\n\r\n" + post,
	} {
		f.Add(text, uint16(len(text)/2))
	}
	goroutines, _ := serve(f, &echo{}, nil, func(s *Server) { s.Engine = Goroutines })
	loops, _ := serve(f, &echo{}, nil, func(s *Server) { s.Engine = Loops })
	f.Fuzz(func(t *testing.T, text string, cut uint16) {
		if text == "" || strings.Contains(text, "/wait") || strings.HasPrefix(text, "P") && strings.Contains(text, "HTTP/2") {
			return
		}
		at := int(cut) % len(text)
		if a, b := converse(t, goroutines, text, at), converse(t, loops, text, at); a != b {
			t.Errorf("%.200q, cut at %d:\ngoroutines: %.500q\nloops:      %.500q", text, at, a, b)
		}
	})
}

// Many clients that ask one thing after the other, some of it in pieces and some
// at once, get their own answers.
func TestManyOnLoops(t *testing.T) {
	addr, _ := serve(t, &echo{}, nil, func(s *Server) { s.Engine = Loops })
	done := make(chan error, 20)
	for i := range cap(done) {
		go func() { done <- chat(addr, i) }()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func chat(addr string, client int) error {
	tr := &http.Transport{MaxConnsPerHost: 1}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: time.Minute}
	for i := range 50 {
		body := fmt.Sprintf("client %d, %d %s", client, i, strings.Repeat("z", i*i))
		var r io.Reader = strings.NewReader(body)
		if i%7 == 0 {
			r = io.MultiReader(r) // of a length that is not known
		}
		resp, err := c.Post("http://"+addr+"/p", "text/plain", r)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.HasSuffix(string(b), " "+body) {
			return fmt.Errorf("client %d, request %d: %.100q, %w", client, i, b, err)
		}
	}
	return nil
}

// A server whose time to drain is over ends, although a handler waits that a loop
// has begun a call of.
func TestDrainOfALoopEnds(t *testing.T) {
	e := &echo{make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(&stuck{e, make(chan struct{})})
	s.Engine = Loops
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, []Listener{{l, nil}}, time.Millisecond, 50*time.Millisecond) }()
	c := dial(t, l.Addr().String())
	fmt.Fprint(c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	<-s.handler.(*stuck).begun
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
	}
}

// stuck begins calls that land never, and finishes them when their client has gone.
type stuck struct {
	*echo
	begun chan struct{}
}

func (s *stuck) Batch() Batch { return s }
func (s *stuck) Flush()       {}

func (s *stuck) Begin(c *Call) Step {
	c.Flight = &waits{c}
	close(s.begun)
	return Begun
}

type waits struct{ c *Call }

func (w *waits) Detach() bool { return true }
func (w *waits) Written()     {}

func (w *waits) Finish() {
	gone := make(chan struct{})
	left := sync.OnceFunc(func() { close(gone) })
	w.c.Watch(&left)
	<-gone
	w.c.Abort()
}
