//go:build !race

// The race detector makes pools forget on purpose, so that only a build without
// it can count allocations.

package gateway

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"
)

// A plain request that a loop serves costs no memory, in the gateway and in the
// function's trigger.
func TestLoopAllocatesNothing(t *testing.T) {
	l := listen(t)
	processor(t, l, echoed)
	g := newRouter(quiet)
	g.set(t.Context(), deployed(l.Addr().String(), "1", 1))
	laid(t, g)
	nc, err := net.Dial("tcp", onLoops(t, g))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(2 * time.Minute))
	body := bytes.Repeat([]byte("x"), 1024)
	ask := fmt.Appendf(nil, "POST /f HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	answer := make([]byte, 4096)
	got := 0
	n := testing.AllocsPerRun(2000, func() {
		if _, err := nc.Write(ask); err != nil {
			t.Fatal(err)
		}
		for got = 0; !bytes.HasSuffix(answer[:got], body); {
			n, err := nc.Read(answer[got:])
			if err != nil {
				t.Fatalf("after %q: %v", answer[:got], err)
			}
			got += n
		}
	})
	if !bytes.HasPrefix(answer[:got], []byte("HTTP/1.1 200 OK\r\n")) {
		t.Errorf("%.100q", answer[:got])
	}
	if n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}
