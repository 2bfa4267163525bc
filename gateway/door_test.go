package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/myelin-run/myelin/processor/handoff"
)

// byDoor asks at a door and returns the answer.
func byDoor(t *testing.T, path string) string {
	t.Helper()
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	resp, err := c.Get("http://gateway/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// open opens the door of a gateway that answers with its name, until end.
func open(t *testing.T, name, path string) (end func()) {
	t.Helper()
	s, err := handoff.Listen("http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listener()
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })}
	go func() { _ = server.Serve(l) }()
	d, err := openDoor(Options{Sockets: []handoff.Socket{s}, Settings: Settings{Door: path}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.serve(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("door: %v", err)
		}
		server.Close()
		handoff.Close([]handoff.Socket{s})
	}
}

// TestDoor: who sees the socket reaches the gateway, a successor takes it over, and
// the end of the former does it no harm.
func TestDoor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.sock")
	first := open(t, "first", path)
	if got := byDoor(t, path); got != "first" {
		t.Errorf("got %q", got)
	}
	defer open(t, "second", path)()
	first()
	if got := byDoor(t, path); got != "second" {
		t.Errorf("got %q", got)
	}
	if d, err := openDoor(Options{}); d != nil || err != nil {
		t.Errorf("a door that nobody asked for: %v, %v", d, err)
	}
	if _, err := openDoor(Options{Sockets: make([]handoff.Socket, 1), Settings: Settings{Door: path + "/none"}}); err == nil {
		t.Error("a door where none can be")
	}
}
