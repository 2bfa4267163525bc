package control

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// A processor takes part in the tables of its own function, and a stranger in
// none.
func TestMayBeat(t *testing.T) {
	const user, nobody = 60_007, 60_008
	may := mayBeat(func(u int) (string, bool) { return "shop.orders.3", u == user })
	by := func(u int) *http.Request {
		r, err := http.NewRequestWithContext(context.WithValue(t.Context(), callerKey{}, u), http.MethodPost, "http://dealer/", nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	unknown, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://dealer/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		r     *http.Request
		table string
		want  bool
	}{
		{by(user), "shop.orders.in", true},
		{by(user), "shop.orders.other", true},
		{by(user), "shop.orders2.in", false},
		{by(user), "shop.order.in", false},
		{by(user), "default.orders.in", false},
		{by(nobody), "shop.orders.in", false},
		{by(0), "shop.orders.in", true},
		{by(os.Geteuid()), "default.any.in", true},
		{unknown, "shop.orders.in", false},
	} {
		if got := may(c.r, c.table); got != c.want {
			u, ok := callerOf(c.r)
			t.Errorf("user %d (%v), table %s: %v, want %v", u, ok, c.table, got, c.want)
		}
	}
}

// The kernel says who has connected.
func TestCallersAreKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan int, 1)
	serve := serveAPI(callers{l}, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		user, ok := callerOf(r)
		if !ok {
			user = -1
		}
		seen <- user
	}), slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	resp, err := c.Get("http://dealer/")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if user := <-seen; user != os.Geteuid() {
		t.Errorf("the caller is %d, want %d", user, os.Geteuid())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
