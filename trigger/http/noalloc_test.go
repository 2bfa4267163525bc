//go:build !race

// The race detector makes pools forget on purpose, so that only a build without
// it can count allocations.

package http

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// An event of a native function costs no allocation.
func TestServeAllocatesNothing(t *testing.T) {
	cors := defaults()
	cors.CORS = &CORS{Enabled: true, AllowOrigins: []string{"https://a.example", "https://b.example"}}
	for name, c := range map[string]struct {
		cfg    Config
		header string
		value  string
	}{
		"Plain":        {defaults(), "", ""},
		"RequestID":    {defaults(), headerRequestID, "chosen-by-the-caller"},
		"CORS":         {cors, "Origin", "https://b.example"},
		"CORSNoOrigin": {cors, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := testServer(c.cfg, busyHandler)
			var ctx fasthttp.RequestCtx
			fillRequest(&ctx, c.header, c.value)
			n := testing.AllocsPerRun(1000, func() {
				ctx.Response.Reset()
				s.serve(&ctx)
			})
			if got := ctx.Response.StatusCode(); got != 201 || string(ctx.Response.Body()) != "{\"hello\": true}" {
				t.Fatalf("response %d %q", got, ctx.Response.Body())
			}
			if n != 0 {
				t.Errorf("%v allocations per event, want 0", n)
			}
		})
	}
}

// Nor does one that the loop serves.
func TestLoopAllocatesNothing(t *testing.T) {
	cfg := defaults()
	cfg.Engine = EngineLoop
	s := testServer(cfg, nil)
	s.h = instant{busyHandler}
	l, err := s.newLoop()
	if err != nil || l == nil {
		t.Fatalf("no loop: %v", err)
	}
	s.loop = l
	defer l.set.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	c := s.newLooped(pair[1])
	l.settle()
	l.tell(time.Now())
	ask, answer := []byte(request), make([]byte, 4096)
	got := 0
	n := testing.AllocsPerRun(1000, func() {
		if _, err := unix.Write(pair[0], ask); err != nil {
			t.Fatal(err)
		}
		c.in.Unread = true
		c.read()
		l.settle()
		if got, err = unix.Read(pair[0], answer); err != nil {
			t.Fatal(err)
		}
	})
	if a := string(answer[:got]); !strings.HasPrefix(a, "HTTP/1.1 201 Created\r\n") || !strings.HasSuffix(a, "\r\n\r\n{\"hello\": true}") || !strings.Contains(a, "\r\nX-Answer: 42\r\n") {
		t.Fatalf("%q", a)
	}
	if n != 0 {
		t.Errorf("%v allocations per event, want 0", n)
	}
	c.close()
}

// instant runs each event when it is submitted.
type instant struct{ trigger.HandlerFunc }

func (h instant) Pending(done func()) trigger.Pending { return &run{h: h, done: done} }
func (instant) Flush()                                {}

type run struct {
	h    instant
	done func()
	ev   *event.Event
}

func (r *run) Submit(ev *event.Event) bool {
	r.ev = ev
	r.done()
	return true
}

func (r *run) Outcome(resp *event.Response) error {
	return r.h.Handle(context.Background(), r.ev, resp)
}

// Nor does one that comes on a trunk.
func TestLanesAllocateNothing(t *testing.T) {
	_, tr := lanes(t, `{"drainLinger":"10ms"}`, busyHandler)
	w := onTrunk(t, tr)
	ask, answer := []byte(request), make([]byte, 4096)
	got := 0
	n := testing.AllocsPerRun(1000, func() {
		if _, err := w.Write(ask); err != nil {
			t.Fatal(err)
		}
		var err error
		if got, err = w.Read(answer); err != nil {
			t.Fatal(err)
		}
	})
	if a := string(answer[:got]); !strings.HasPrefix(a, "HTTP/1.1 201 Created\r\n") || !strings.HasSuffix(a, "\r\n\r\n{\"hello\": true}") {
		t.Fatalf("%q", a)
	}
	if n != 0 {
		t.Errorf("%v allocations per event, want 0", n)
	}
}
