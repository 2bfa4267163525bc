package http

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
)

// bank lends memory that it wipes when it gets it back.
type bank struct {
	t        *testing.T
	out, all atomic.Int64
	h        func(ev *event.Event, resp *event.Response) error
}

type note struct {
	bank *bank
	b    []byte
	back atomic.Bool
}

func (b *bank) Lend(n int) event.Loan {
	b.out.Add(1)
	b.all.Add(1)
	return &note{bank: b, b: make([]byte, n)}
}

func (n *note) Bytes() []byte { return n.b }
func (n *note) From() any     { return n.bank }

func (n *note) Release() {
	if n.back.Swap(true) {
		n.bank.t.Error("memory was given back twice")
	}
	clear(n.b)
	n.bank.out.Add(-1)
}

func (b *bank) Handle(_ context.Context, ev *event.Event, resp *event.Response) error {
	if l, ok := ev.Loan.(*note); ok && &l.b[0] != &ev.Body[0] {
		b.t.Error("the body is not in the memory that was lent for it")
	}
	if (ev.Loan != nil) != (len(ev.Body) >= borrowFrom) {
		b.t.Errorf("%d bytes, loan %v", len(ev.Body), ev.Loan)
	}
	return b.h(ev, resp)
}

func lending(t *testing.T, attributes string, h func(*event.Event, *event.Response) error) (*bank, string) {
	t.Helper()
	b := &bank{t: t, h: h}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	trg := newTrigger(t, attributes, ln)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- trg.Run(ctx, b) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := b.out.Load(); n != 0 {
			t.Errorf("%d loans were not given back", n)
		}
	})
	return b, ln.Addr().String()
}

func repeat(ev *event.Event, resp *event.Response) error {
	resp.Body = append(resp.Body, ev.Body...)
	return nil
}

// Large bodies are read into lent memory, small ones are not, and requests of
// one connection that follow each other keep their own.
func TestBorrowedBody(t *testing.T) {
	b, addr := lending(t, `{"drainLinger":"10ms","maxRequestBodySize":200000}`, repeat)
	w := dial(t, addr)
	for i, size := range []int{borrowFrom, 10, 200_000, borrowFrom - 1, 0, 100_000, 1} {
		body := strings.Repeat(fmt.Sprint(i), size)
		w.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", size, body))
		if resp, got := w.recv("POST"); resp.StatusCode != 200 || got != body {
			t.Fatalf("%d bytes: %d, %d bytes", size, resp.StatusCode, len(got))
		}
	}
	if n := b.all.Load(); n != 3 {
		t.Errorf("%d loans, want 3", n)
	}
}

// Requests that come to nothing give back what was lent for them.
func TestBorrowedInVain(t *testing.T) {
	b, addr := lending(t, `{"drainLinger":"10ms","maxRequestBodySize":200000,"readTimeout":"300ms"}`, repeat)
	head := "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"
	cut := dial(t, addr)
	cut.send(head + strings.Repeat("x", 50_000))
	cut.Close()
	slow := dial(t, addr)
	slow.send(head + strings.Repeat("x", 50_000))
	if resp, _ := slow.recv("POST"); resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("half a body: %d", resp.StatusCode)
	}
	large := dial(t, addr)
	large.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200001\r\n\r\n" + strings.Repeat("x", 50_000))
	if resp, _ := large.recv("POST"); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("above the limit: %d", resp.StatusCode)
	}
	for deadline := time.Now().Add(30 * time.Second); b.out.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d loans are out", b.out.Load())
		}
	}
	if n := b.all.Load(); n != 2 {
		t.Errorf("%d loans, want 2: none for what is too large", n)
	}
}

// Failures and health checks give back what was lent for them.
func TestBorrowedElsewhere(t *testing.T) {
	_, addr := lending(t, `{"drainLinger":"10ms"}`, func(ev *event.Event, resp *event.Response) error {
		if bytes.HasPrefix(ev.Body, []byte("panic")) {
			panic("deliberate")
		}
		return event.Errorf(422, "no")
	})
	for _, c := range []struct {
		path   string
		body   string
		status int
	}{{"/", "panic", 500}, {"/", "fail", 422}, {"/__internal/health", "x", 200}} {
		body := c.body + strings.Repeat("x", 60_000)
		resp, err := http.Post("http://"+addr+c.path, "text/plain", strings.NewReader(body))
		if err != nil || resp.StatusCode != c.status {
			t.Fatalf("%+v: %v, %v", c, resp, err)
		}
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}
