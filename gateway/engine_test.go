package gateway

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/gateway/front"
)

// engineEnv has the gateways of this package's tests begin every call on a loop.
const engineEnv = "MYELIN_GATEWAY_TEST_LOOPS"

// What holds for an engine holds for the other.
func TestWithLoops(t *testing.T) {
	if os.Getenv(engineEnv) != "" {
		return // this is that run
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.count=1", "-test.timeout=6m")
	cmd.Env = append(os.Environ(), engineEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

func engine() front.Engine {
	if os.Getenv(engineEnv) != "" {
		return front.Loops
	}
	return front.Auto
}

// onLoops serves g, and returns its address.
func onLoops(t *testing.T, g *router) string {
	t.Helper()
	l := listen(t)
	srv := front.New(g)
	srv.Engine = front.Loops
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, []front.Listener{{Listener: l}}, 0, 20*time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

// laid waits until there is a trunk to the function f.
func laid(t *testing.T, g *router) {
	t.Helper()
	p := g.state.Load().pools[route.Key{Namespace: "default", Function: "f", Version: "$latest"}]
	stop := crowd(t, g, 8)
	waitFor(t, "there is no trunk", func() bool { return p.OnTrunk() > 0 })
	stop()
}

// What a function answers that is not plain, large or late comes through as it
// is, whether or not a loop has begun the request.
func TestAnswersThatLeaveTheLoop(t *testing.T) {
	l := listen(t)
	processor(t, l, func(ctx context.Context, ev *event.Event, resp *event.Response) error {
		switch string(ev.Path) {
		case "/large":
			resp.Body = bytes.Repeat([]byte("l"), 300<<10)
		case "/late":
			<-time.After(1200 * time.Millisecond) // longer than a loop waits
			resp.Body = []byte("late")
		case "/stream":
			resp.Stream = io.NopCloser(strings.NewReader("streamed"))
		default:
			return echoed(ctx, ev, resp)
		}
		return nil
	})
	g := newRouter(quiet)
	g.set(t.Context(), deployed(l.Addr().String(), "1", 1))
	laid(t, g)
	addr := onLoops(t, g)
	tr := &http.Transport{MaxConnsPerHost: 1}
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr, Timeout: time.Minute}
	for _, c := range []struct{ path, want string }{
		{"/x", "body"}, {"/large", strings.Repeat("l", 300<<10)}, {"/x", "body"}, {"/stream", "streamed"}, {"/late", "late"}, {"/x", "body"},
	} {
		resp, err := client.Post("http://"+addr+"/f"+c.path, "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || string(b) != c.want {
			t.Errorf("%s: %d, %d bytes %.20q, want %d; %v", c.path, resp.StatusCode, len(b), b, len(c.want), err)
		}
	}
}
