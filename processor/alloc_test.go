//go:build !race

// The race detector makes pools forget on purpose.
package processor_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

// From the socket through trigger, pool and native function and back to the
// socket, an event allocates nothing.
func TestHTTPToNativeDoesNotAllocate(t *testing.T) {
	f := native.Of(func(_ *myelin.Context, ev *myelin.Event, out *myelin.Response) error {
		out.Body = append(out.Body, ev.Body...)
		return nil
	}, nil)
	r := start(t, config(t, ""), f)
	c, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(r.url, "http:"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := fmt.Appendf(nil, "POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Some: thing\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n%s", strings.Repeat("x", 1024))
	answer := make([]byte, 4096)
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	size, err := c.Read(answer)
	if err != nil || !bytes.Contains(answer[:size], []byte("200 OK")) {
		t.Fatalf("%q %v", answer[:size], err)
	}
	// A garbage collection in between empties pools and starts workers of its
	// own; the smallest of a few rounds is what the path itself allocates.
	const events = 2000
	least := events * 100.0
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range events {
			if _, err := c.Write(request); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, answer[:size]); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		least = min(least, float64(after.Mallocs-before.Mallocs))
	}
	if least/events >= 0.01 {
		t.Errorf("%.3f allocations per event", least/events)
	}
	c.Close()
	if err := r.end(t); err != nil {
		t.Error(err)
	}
}
