package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	triggerhttp "github.com/myelin-run/myelin/trigger/http"
)

// counted is a listener that knows how many connections it accepted.
type counted struct {
	net.Listener
	n atomic.Int64
}

func (c *counted) Accept() (net.Conn, error) {
	nc, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return nc, err
}

// SetDeadline is what a trigger needs to take all that waits when it drains.
func (c *counted) SetDeadline(at time.Time) error {
	return c.Listener.(*net.TCPListener).SetDeadline(at)
}

// processor serves h on l with a real trigger until stop is called, which waits.
func processor(t *testing.T, l net.Listener, h trigger.HandlerFunc) (stop func()) {
	t.Helper()
	trg, err := triggerhttp.Factory().New(trigger.Settings{Name: "web", Listener: l}, json.RawMessage(`{"drainLinger":"200ms"}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- trg.Run(ctx, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

func echoed(_ context.Context, ev *event.Event, resp *event.Response) error {
	resp.Body = append(resp.Body, ev.Body...)
	return nil
}

func deployed(address, generation string, replicas int) route.Table {
	return route.Table{Deployments: []route.Deployment{{Function: "f", Version: "$latest", Namespace: "default", Address: address, Generation: generation, State: route.Serving, Replicas: replicas}}}
}

// crowd has n clients ask until stop is called, each with a body of its own, and
// says how many were answered right. Anything else is an error of the test.
func crowd(t *testing.T, g *router, n int) (stop func() int64) {
	t.Helper()
	do := through(t, g)
	var end atomic.Bool
	var right atomic.Int64
	var wg sync.WaitGroup
	for i := range n {
		body := strings.Repeat(fmt.Sprint("client ", i, ";"), 100)
		wg.Go(func() {
			for !end.Load() {
				resp, got := do("POST", "/f", body)
				if resp.StatusCode != 200 || got != body {
					t.Errorf("client %d: %d %.100s", i, resp.StatusCode, got)
					return
				}
				right.Add(1)
			}
		})
	}
	return func() int64 {
		end.Store(true)
		wg.Wait()
		return right.Load()
	}
}

// Many requests at once to the one processor of a function go over one
// connection, and to several over as many as there are.
func TestManyRequestsShareATrunk(t *testing.T) {
	for _, replicas := range []int{1, 2} {
		l := &counted{Listener: listen(t)}
		processor(t, l, echoed)
		g := newRouter(quiet)
		g.set(t.Context(), deployed(l.Addr().String(), "1", replicas))
		p := g.state.Load().pools[route.Key{Namespace: "default", Function: "f", Version: "$latest"}]
		stop := crowd(t, g, 16)
		trunk := func() bool { return p.OnTrunk() > 0 }
		if replicas == 1 {
			waitFor(t, "there is no trunk", trunk)
			waitFor(t, "few requests at once", func() bool { return p.OnTrunk() > 4 })
			waitFor(t, "connections are opened beside the trunk", func() bool { // at first those that were begun before it
				before := l.n.Load()
				<-time.After(50 * time.Millisecond)
				return l.n.Load() == before
			})
		}
		waitFor(t, "few connections", func() bool { return replicas == 1 || l.n.Load() > 4 })
		stop()
		if replicas == 2 && trunk() {
			t.Error("a trunk leads to one of two processors")
		}
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal(what)
		}
	}
}

// Processors follow each other on one socket, each told as a new generation
// before the one before drains: no request on a trunk is lost.
func TestTrunksFollowGenerations(t *testing.T) {
	l := listen(t)
	own := func() net.Listener {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		nl, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		return nl
	}
	g := newRouter(quiet)
	key := route.Key{Namespace: "default", Function: "f", Version: "$latest"}
	g.set(t.Context(), deployed(l.Addr().String(), "0", 1))
	end := processor(t, own(), echoed)
	stop := crowd(t, g, 16)
	for i := range 4 {
		waitFor(t, "there is no trunk", func() bool { return g.state.Load().pools[key].OnTrunk() > 0 })
		next := processor(t, own(), echoed)
		g.set(t.Context(), deployed(l.Addr().String(), "0", 2)) // both listen
		g.set(t.Context(), deployed(l.Addr().String(), fmt.Sprint(i+1), 1))
		end()
		end = next
	}
	if n := stop(); n < 100 {
		t.Errorf("%d requests", n)
	}
}

// What does not know trunks is served as before, and asked once.
func TestNoTrunkToBeHad(t *testing.T) {
	g := newRouter(quiet)
	g.set(t.Context(), deployed(someFunction(t), "1", 1))
	do := through(t, g)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 20 {
				if resp, text := do("POST", "/f", "b"); resp.StatusCode != 200 || !strings.Contains(text, "body=b") {
					t.Errorf("%d %s", resp.StatusCode, text)
				}
			}
		})
	}
	wg.Wait()
}
