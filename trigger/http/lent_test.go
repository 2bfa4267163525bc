package http

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/myelin-run/myelin/event"
)

// ledger counts what is lent.
type ledger struct{ out atomic.Int64 }

func (l *ledger) Release() { l.out.Add(-1) }

// A lent body is sent and given back exactly once, whoever reads it or not.
func TestLentBodies(t *testing.T) {
	l := &ledger{}
	view := []byte(strings.Repeat("0123456789", 100_000))
	s := serve(t, quick, func(_ context.Context, _ *event.Event, resp *event.Response) error {
		if resp.Takes&event.TakesViews == 0 {
			t.Error("the trigger takes no views")
		}
		l.out.Add(1)
		resp.View, resp.Owner = view, l
		return nil
	})
	w := dial(t, s.addr)
	for range 3 {
		for _, method := range []string{"GET", "HEAD"} {
			w.send(method + " / HTTP/1.1\r\nHost: h\r\n\r\n")
			resp, body := w.recv(method)
			if resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(view)) || method == "GET" && body != string(view) {
				t.Fatalf("%s: %d, length %d, %d bytes", method, resp.StatusCode, resp.ContentLength, len(body))
			}
		}
	}
	gone := dial(t, s.addr)
	gone.send(get)
	gone.Close()
	s.stop()
	if err := <-s.done; err != nil {
		t.Error(err)
	}
	if n := l.out.Load(); n != 0 {
		t.Errorf("%d bodies were not given back, or twice", n)
	}
}
