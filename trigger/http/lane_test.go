package http

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/processor/trunk"
	"github.com/myelin-run/myelin/trigger"
)

// lanes is a trigger whose connections on a trunk need no goroutines, and such a
// trunk.
func lanes(t testing.TB, attributes string, h trigger.HandlerFunc) (addr string, tr *trunk.Trunk) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	trg, err := Factory().New(trigger.Settings{Name: "web", Listener: ln}, []byte(attributes))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- trg.Run(ctx, h) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	tr, _ = lay(t, ln.Addr().String())
	return ln.Addr().String(), tr
}

// together sends a request on each lane, all with one write.
func together(t *testing.T, tr *trunk.Trunk, ws []*rawClient, request func(i int) string) {
	t.Helper()
	for i, w := range ws {
		if !w.Conn.(*trunk.Conn).Queue([]byte(request(i))) {
			t.Fatalf("request %d cannot be sent", i)
		}
	}
	tr.Flush()
}

func several(t *testing.T, tr *trunk.Trunk, n int) (ws []*rawClient) {
	for range n {
		ws = append(ws, onTrunk(t, tr))
	}
	return ws
}

// A function that is held up holds up neither the requests that came with its own,
// nor answers that are there.
func TestFunctionHoldsUpNoLane(t *testing.T) {
	release := make(chan struct{})
	_, tr := lanes(t, quick, func(ctx context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Path) == "/held" {
			<-release
		}
		return echo(ctx, ev, resp)
	})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	ws := several(t, tr, 2*mostParked+20) // so that more are held up than are kept
	path := func(i int) string { return []string{"/", "/held"}[i%2] }
	for range 3 {
		together(t, tr, ws[:2], func(int) string { return post }) // hands are parked then
		for _, w := range ws[:2] {
			w.recv("POST")
		}
	}
	together(t, tr, ws, func(i int) string { return strings.Replace(post, "/", path(i), 1) })
	for i, w := range ws {
		if path(i) == "/" {
			if resp, body := w.recv("POST"); resp.StatusCode != 200 || body != "hello" {
				t.Errorf("lane %d: %d %q", i, resp.StatusCode, body)
			}
		}
	}
	letGo()
	for i, w := range ws {
		if path(i) == "/held" {
			if resp, body := w.recv("POST"); resp.StatusCode != 200 || body != "hello" {
				t.Errorf("lane %d: %d %q", i, resp.StatusCode, body)
			}
		}
	}
}

// Each lane has its own answers, in order, whatever the sizes are and however
// many of them come at the same time; what is odd in between changes nothing.
func TestLanesAreNotMixedUp(t *testing.T) {
	_, tr := lanes(t, quick, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		switch string(ev.Path) {
		case "/fail":
			return event.Errorf(418, "%s", ev.Body)
		case "/none":
			resp.Status = 204
		case "/stream":
			resp.Stream = io.NopCloser(strings.NewReader(string(ev.Body)))
		case "/panic":
			panic("as planned")
		default:
			resp.Body = append(resp.Body, ev.Body...)
		}
		return nil
	})
	var wg sync.WaitGroup
	for i := range 16 {
		w := onTrunk(t, tr)
		wg.Go(func() {
			for k := range 60 {
				path := []string{"/", "/", "/fail", "/", "/none", "/stream", "/", "/panic"}[(i+k)%8]
				body := strings.Repeat(fmt.Sprint(i, k, ";"), 1+(i*k*37)%9000)
				if _, err := fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body); err != nil {
					t.Errorf("lane %d: %v", i, err)
					return
				}
				want, status := body, 200
				switch path {
				case "/fail":
					status = 418
				case "/none":
					want, status = "", 204
				case "/panic":
					want, status = "handler panicked", 500
				}
				if resp, got := w.recv("POST"); resp.StatusCode != status || got != want {
					t.Errorf("lane %d, request %d to %s: %d %.40q, want %d %.40q", i, k, path, resp.StatusCode, got, status, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A function that is abandoned keeps its event as it is, and its lane goes on.
func TestAbandonedOnALane(t *testing.T) {
	release, kept := make(chan struct{}), make(chan string, 1)
	_, tr := lanes(t, quick, func(ctx context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Path) != "/late" {
			return echo(ctx, ev, resp)
		}
		go func() {
			<-release
			kept <- string(ev.Body) + string(ev.Header("X-Kept"))
		}()
		return event.Abandon(event.ErrTimeout)
	})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	w := onTrunk(t, tr)
	w.send("POST /late HTTP/1.1\r\nHost: h\r\nX-Kept: it is\r\nX-Request-Id: mine\r\nContent-Length: 5\r\n\r\nhello")
	if resp, _ := w.recv("POST"); resp.StatusCode != 408 || resp.Header.Get("X-Request-Id") != "" && resp.Header.Get("X-Request-Id") != "mine" {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
	for range 20 {
		w.send(strings.Replace(post, "hello", "other", 1))
		if resp, body := w.recv("POST"); resp.StatusCode != 200 || body != "other" {
			t.Fatalf("after it: %d %q", resp.StatusCode, body)
		}
	}
	letGo()
	if got := <-kept; got != "hello"+"it is" {
		t.Errorf("the function that was abandoned sees %q", got)
	}
}

// Lanes answer what connections of their own do.
func FuzzLanes(f *testing.F) {
	for _, text := range []string{
		request, "GET /a?b=c&d HTTP/1.1\r\nHost: h\r\nx-a: 1\r\nX-A: 2\r\ncookie: a=b; c=d\r\n\r\n",
		"POST /fail HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		"GET /odd HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "no request\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", request + request, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000), "GET /__internal/health HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		f.Add(text, uint16(len(text)/2))
	}
	const last = "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
	addr, tr := lanes(f, `{"drainLinger":"10ms","readTimeout":"3s","idleTimeout":"24h"}`, tells)
	stays := onTrunk(f, tr) // a trunk without connections ends
	stays.send(post)
	stays.recv("POST")
	f.Fuzz(func(t *testing.T, text string, cut uint16) {
		if low := strings.ToLower(text); text == "" || text[0] == 0 || strings.Contains(low, "x-nuclio") || strings.Contains(low, "content-length: ") && len(text) < 40 {
			return
		}
		at := int(cut) % len(text)
		talk := func(w *rawClient) string {
			defer w.Close()
			_, _ = io.WriteString(w, text[:at]) // it may be refused before it is all sent
			_, _ = io.WriteString(w, text[at:]+last)
			all, _ := io.ReadAll(w.r)
			lines := strings.Split(varies.ReplaceAllString(string(all), ""), "\r\n")
			slices.Sort(lines)
			return strings.Join(lines, "\r\n")
		}
		if a, b := talk(dial(t, addr)), talk(onTrunk(t, tr)); a != b {
			t.Errorf("%q, cut at %d:\nalone:    %q\non a trunk: %q", text, at, a, b)
		}
	})
}
