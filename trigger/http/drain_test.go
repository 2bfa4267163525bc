package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
)

const post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"

// What is in the accept queue, on an idle connection or half sent when the
// drain begins is answered, and told that the connection ends.
func TestDrainAnswersWhatIsOnItsWay(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	queued := make([]*rawClient, 50) // nobody accepts yet
	for i := range queued {
		queued[i] = dial(t, ln.Addr().String())
		queued[i].send(post)
	}
	trg := newTrigger(t, `{"drainLinger":"300ms"}`, ln)
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // Run drains at once
	begin := time.Now()
	s := &serving{addr: ln.Addr().String(), done: make(chan error, 1)}
	go func() { s.done <- trg.Run(ctx, submits{handlerFunc(echo)}) }()
	for i, w := range queued {
		if resp, body := w.recv("POST"); resp.StatusCode != 200 || body != "hello" || !resp.Close {
			t.Fatalf("queued %d: %d %q, close %v", i, resp.StatusCode, body, resp.Close)
		}
		w.Close()
	}
	if err := <-s.done; err != nil {
		t.Error(err)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("the drain took %v", d)
	}
}

func TestDrainIdleAndHalfSent(t *testing.T) {
	s := serve(t, `{"drainLinger":"400ms"}`, echo)
	idle, late, half, fresh := dial(t, s.addr), dial(t, s.addr), dial(t, s.addr), dial(t, s.addr)
	for _, w := range []*rawClient{idle, late} {
		w.send(post)
		w.recv("POST")
	}
	half.send(post[:len(post)-2])
	// The one after has been accepted only after half and fresh were.
	probe := dial(t, s.addr)
	probe.send(post)
	probe.recv("POST")
	s.stop()
	for { // until the listener is closed
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			break
		}
		c.Close()
	}
	late.send(post)
	if resp, _ := late.recv("POST"); resp.StatusCode != 200 || !resp.Close {
		t.Errorf("on an idle connection: %d, close %v", resp.StatusCode, resp.Close)
	}
	idle.closed() // after the linger
	fresh.closed()
	select {
	case err := <-s.done:
		t.Fatalf("Run returned (%v) with half a request", err)
	default:
	}
	half.send(post[len(post)-2:])
	if resp, body := half.recv("POST"); resp.StatusCode != 200 || body != "hello" || !resp.Close {
		t.Errorf("half sent: %d %q, close %v", resp.StatusCode, body, resp.Close)
	}
	half.closed()
}

// A connection that was answered out of the ordinary waits for its next request
// like any other: a drain does not wait for it, and it is not cut off as if half a
// request had come.
func TestIdleAfterAFailure(t *testing.T) {
	s := serve(t, `{"drainLinger":"10ms","readTimeout":"1s","idleTimeout":"1h"}`, func(context.Context, *event.Event, *event.Response) error {
		return event.Errorf(418, "no tea")
	})
	w := dial(t, s.addr)
	ask := func() {
		w.send(post)
		if resp, _ := w.recv("POST"); resp.StatusCode != 418 {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	ask()
	time.Sleep(3 * time.Second) // longer than half a request may take
	ask()
	s.stop()
	select {
	case err := <-s.done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the drain waits for a connection without a request")
	}
	w.closed()
}

// Processors that take over a socket one after another under load drop nothing:
// every request that was written is answered.
func TestHandoverUnderLoad(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := ln.(*net.TCPListener).File() // keeps the socket open, as its owner does
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	addr := ln.Addr().String()
	work := func(_ context.Context, ev *event.Event, resp *event.Response) error {
		time.Sleep(time.Millisecond)
		resp.Body = append(resp.Body, ev.Body...)
		return nil
	}
	current := serveOn(t, `{"drainLinger":"200ms"}`, ln, work)

	stop := make(chan struct{})
	var answered atomic.Int64
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() { keepAliveClient(t, addr, i, stop, &answered) })
		clients.Go(func() { freshClient(t, addr, stop, &answered) })
	}
	for range 4 {
		from := answered.Load()
		for answered.Load() < from+300 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		next, err := net.FileListener(socket)
		if err != nil {
			t.Fatal(err)
		}
		old := current
		current = serveOn(t, `{"drainLinger":"200ms"}`, next, work)
		old.stop()
		if err := <-old.done; err != nil {
			t.Error(err)
		}
	}
	close(stop)
	clients.Wait()
	t.Logf("%d requests answered over 4 handovers", answered.Load())
}

func keepAliveClient(t *testing.T, addr string, id int, stop chan struct{}, answered *atomic.Int64) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		want := fmt.Sprintf("%d-%d", id, n)
		// A body that cannot be sent twice keeps the client from trying again.
		resp, err := client.Post("http://"+addr, "text/plain", io.NopCloser(bytes.NewReader([]byte(want))))
		if err != nil {
			t.Errorf("keep-alive: %v", err)
			return
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(b) != want {
			t.Errorf("keep-alive: %d %q, %v", resp.StatusCode, b, err)
			return
		}
		answered.Add(1)
	}
}

func freshClient(t *testing.T, addr string, stop chan struct{}, answered *atomic.Int64) {
	buf := make([]byte, 4096)
	for {
		select {
		case <-stop:
			return
		default:
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Errorf("fresh: dial: %v", err)
			return
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		_, err = io.WriteString(c, post)
		n := 0
		if err == nil {
			n, err = c.Read(buf)
		}
		c.Close()
		if err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200")) {
			t.Errorf("fresh: %q, %v", buf[:n], err)
			return
		}
		answered.Add(1)
	}
}

// A socket that fails for good ends Run with its error.
func TestListenerLost(t *testing.T) {
	trg := newTrigger(t, quick, brokenListener{})
	if err := trg.Run(t.Context(), handlerFunc(echo)); err == nil || !errors.Is(err, syscall.EBADF) {
		t.Errorf("error %v, want bad file descriptor", err)
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, syscall.EBADF }
func (brokenListener) Close() error              { return nil }
func (brokenListener) Addr() net.Addr            { return &net.TCPAddr{} }
