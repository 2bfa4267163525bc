package python

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	pool "github.com/myelin-run/myelin/processor/worker"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm"
	"github.com/myelin-run/myelin/trigger"
	thttp "github.com/myelin-run/myelin/trigger/http"
)

// watched is a listener whose connections count the bytes that are read into
// memory outside a worker's mapping, and written from there.
type watched struct {
	net.Listener
	in          *atomic.Pointer[shm.Instance]
	read, wrote atomic.Int64
}

func (w *watched) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	return &watchedConn{c, w}, err
}

type watchedConn struct {
	net.Conn
	w *watched
}

// outside reports whether b lies outside of the mapping.
func (w *watched) outside(b []byte) bool {
	in := w.in.Load()
	off := in.Offset(b)
	return off < 0 || off >= in.Size()
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.w.outside(b) {
		c.w.read.Add(int64(n))
	}
	return n, err
}

func (c *watchedConn) Write(b []byte) (int, error) {
	if len(b) > 0 && c.w.outside(b) {
		c.w.wrote.Add(int64(len(b)))
	}
	return c.Conn.Write(b)
}

// caught is a runtime that shows its last instance.
type caught struct {
	runtime.Runtime
	in atomic.Pointer[shm.Instance]
}

func (c *caught) Open(ctx context.Context, w runtime.Worker) (runtime.Instance, error) {
	in, err := c.Runtime.Open(ctx, w)
	if err == nil {
		c.in.Store(in.(*shm.Instance))
	}
	return in, err
}

// site is an HTTP trigger with a pool of Python workers behind it.
func site(t testing.TB, code, attributes string, workers int) (string, *watched, *pool.Pool) {
	t.Helper()
	rt := &caught{Runtime: fixture{code: code}.load(t)}
	log := slog.New(slog.DiscardHandler)
	p := pool.New(rt, pool.Options{Size: workers, Log: log})
	if err := p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{Listener: ln, in: &rt.in}
	trg, err := thttp.Factory().New(trigger.Settings{Name: "web", Listener: w, Log: log}, []byte(attributes))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- trg.Run(ctx, p.For(10*time.Second, nil)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String(), w, p
}

const quickDrain = `{"drainLinger":"10ms"}`

func randomBody(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func postBody(url string, body []byte) ([]byte, error) {
	resp, err := http.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("status %d: %.200s", resp.StatusCode, b)
	}
	return b, err
}

// An echo by view of 1 MiB is read from the socket into the worker's memory and
// written from there. What goes through other buffers is what came along with
// the headers and an end that is shorter than the reader's buffer of 16 KiB,
// and what fills up the buffer that the headers are sent from.
func TestEchoCopiesNothing(t *testing.T) {
	url, w, _ := site(t, "def handler(c, e):\n    return e.body_view\n", quickDrain, 1)
	body := randomBody(1 << 20)
	for range 20 {
		w.read.Store(0)
		w.wrote.Store(0)
		got, err := postBody(url, body)
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if r, wr := w.read.Load(), w.wrote.Load(); r > 32<<10 || wr > 9<<10 {
			t.Fatalf("of 1 MiB, %d bytes were read and %d written outside of the worker's memory", r, wr)
		}
	}
}

// Bodies of all sizes, from many callers, while workers die: each is answered
// with its own or with an error, and what was lent comes back.
func TestBorrowedBodiesUnderLoad(t *testing.T) {
	url, w, p := site(t, "import os\ndef handler(c, e):\n    if e.body_view[:3] == b'die':\n        os._exit(1)\n    return e.body_view\n",
		`{"drainLinger":"10ms","maxRequestBodySize":3000000}`, 2)
	errs := make(chan error, 8)
	for g := range cap(errs) {
		go func() {
			for i := range 25 {
				body := randomBody(1 + (g*131_071+i*65_537)%600_000)
				if g == 0 && i%8 == 7 {
					copy(body, "die")
				}
				got, err := postBody(url, body)
				if err == nil && !bytes.Equal(got, body) {
					errs <- fmt.Errorf("caller %d got another's answer", g)
					return
				}
			}
			errs <- nil
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	half, err := net.Dial("tcp", w.Addr().String()) // a body that never comes
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(half, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n%50000d", 1)
	half.Close()
	if _, err := postBody(url, randomBody(3_000_001)); err == nil {
		t.Error("a body above the limit was taken")
	}
	if _, err := postBody(url, randomBody(3_000_000)); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(30 * time.Second); w.in.Load().OnLoan() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still on loan", w.in.Load().OnLoan())
		}
	}
	if s := p.Stats(); s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// Server-sent events reach the client one by one, and the function hears that
// the client has gone.
func TestServerSentEvents(t *testing.T) {
	code := `
import time
state = ["open"]
def events():
    try:
        for i in range(100000):
            yield "data: %d\n\n" % i
            time.sleep(0.01)
    except GeneratorExit:
        state[0] = "gone"
def handler(context, event):
    if event.path == "/state":
        return state[0]
    return context.Response(body=events(), content_type="text/event-stream")
`
	for name, code := range map[string]string{"plain": code, "async": asynchronous(code)} {
		t.Run(name, func(t *testing.T) {
			url, _, p := site(t, code, quickDrain, 1)
			resp, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" || len(resp.TransferEncoding) != 1 {
				t.Errorf("content type %q, transfer encoding %v", ct, resp.TransferEncoding)
			}
			lines := bufio.NewScanner(resp.Body)
			for i := range 5 {
				if !lines.Scan() || lines.Text() != fmt.Sprintf("data: %d", i) || !lines.Scan() {
					t.Fatalf("event %d: %q, %v", i, lines.Text(), lines.Err())
				}
			}
			if s := p.Stats(); s.InFlight != 1 {
				t.Errorf("a stream that goes on has its place in a worker: %+v", s)
			}
			resp.Body.Close()
			if b, err := postBody(url+"/state", nil); err != nil || string(b) != "gone" && name == "plain" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
}

var _ event.Lender = (*shm.Instance)(nil)
