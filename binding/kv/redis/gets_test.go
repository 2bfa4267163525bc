package redis

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// request is one that waits for its outcome.
type request struct {
	keys   []string
	answer chan error
}

// blocked is a server whose requests wait until they are answered, or the test ends.
type blocked struct {
	began chan request
	end   <-chan struct{}
}

func newBlocked(t *testing.T) *blocked { return &blocked{make(chan request, 1000), t.Context().Done()} }

func (b *blocked) ask(_ context.Context, keys []string) ([][]byte, []error) {
	r := request{keys, make(chan error, 1)}
	b.began <- r
	var err error
	select {
	case err = <-r.answer:
	case <-b.end:
		err = data.Away
	}
	values, errs := make([][]byte, len(keys)), make([]error, len(keys))
	for i, key := range keys {
		values[i], errs[i] = []byte("value of "+key), err
	}
	return values, errs
}

// patience is how long anything may take before the test fails.
const patience = 2 * time.Minute

// begins returns the next request, which has to be of n keys.
func (b *blocked) begins(t *testing.T, n int) request {
	t.Helper()
	select {
	case r := <-b.began:
		if len(r.keys) != n {
			t.Fatalf("a request has %d keys, want %d", len(r.keys), n)
		}
		return r
	case <-time.After(patience):
		t.Fatal("no request begins")
		return request{}
	}
}

// first has as many requests begin as may be on their way at once.
func (b *blocked) first(t *testing.T, g *gets, callers *sync.WaitGroup) (all []request) {
	t.Helper()
	for i := range lots {
		callers.Go(func() {
			if _, err := g.get(t.Context(), fmt.Sprint("first ", i)); err != nil {
				t.Error(err)
			}
		})
		all = append(all, b.begins(t, 1))
	}
	return all
}

func outcome(t *testing.T, of <-chan error) error {
	t.Helper()
	select {
	case err := <-of:
		return err
	case <-time.After(patience):
		t.Fatal("a caller has no outcome")
		return nil
	}
}

func waits(t *testing.T, g *gets, n int) {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		g.mu.Lock()
		got := len(g.waiting)
		g.mu.Unlock()
		if got == n {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d wait, want %d", got, n)
		}
	}
}

// Keys that are asked for while requests are on their way go in one request, and
// each caller gets its own.
func TestGetsGoTogether(t *testing.T) {
	b := newBlocked(t)
	g := newGets(b.ask)
	var callers sync.WaitGroup
	first := b.first(t, g, &callers)
	for i := range most + 5 {
		key := fmt.Sprint("next ", i)
		callers.Go(func() {
			if v, err := g.get(t.Context(), key); err != nil || string(v) != "value of "+key {
				t.Errorf("%s: %q, %v", key, v, err)
			}
		})
	}
	waits(t, g, most+5)
	first[0].answer <- nil
	b.begins(t, most).answer <- nil
	b.begins(t, 5).answer <- nil
	for _, r := range first[1:] {
		r.answer <- nil
	}
	callers.Wait()
	if g.flying != 0 || len(g.waiting) != 0 {
		t.Errorf("%d fly, %d wait", g.flying, len(g.waiting))
	}
}

// Who waits no longer leaves at once, and others are read all the same.
func TestGetsAreLeft(t *testing.T) {
	b := newBlocked(t)
	g := newGets(b.ask)
	var callers sync.WaitGroup
	first := b.first(t, g, &callers)
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := make(chan error, 1), make(chan error, 1)
	go func() { _, err := g.get(ctx, "gone"); gone <- err }()
	waits(t, g, 1)
	go func() { _, err := g.get(t.Context(), "stays"); stays <- err }()
	waits(t, g, 2)
	cancel()
	if err := outcome(t, gone); data.ReasonOf(err) != data.Timeout {
		t.Errorf("%v", err)
	}
	waits(t, g, 1)
	first[0].answer <- nil
	b.begins(t, 1).answer <- nil
	if err := outcome(t, stays); err != nil {
		t.Error(err)
	}
	for _, r := range first[1:] {
		r.answer <- nil
	}
	callers.Wait()
}

// One that was to lead, and has left, has another lead.
func TestGetsLeaderLeaves(t *testing.T) {
	g := newGets(nil)
	g.flying = lots
	gone, stays := &get{told: make(chan bool, 1)}, &get{told: make(chan bool, 1)}
	g.waiting = []*get{gone, stays}
	g.landed([]*get{{}})
	if !gone.leads || stays.leads {
		t.Fatalf("leads: %v, %v", gone.leads, stays.leads)
	}
	g.leave(gone)
	if answered := <-stays.told; answered || !stays.leads || g.flying != lots || len(g.waiting) != 1 {
		t.Errorf("answered %v, leads %v, %d fly, %d wait", answered, stays.leads, g.flying, len(g.waiting))
	}
}

// That a caller's time is over says nothing of the keys that went along; that the
// connection broke does.
func TestGetsOfALeaderThatGaveUp(t *testing.T) {
	for _, c := range []struct {
		err    error
		failed int
	}{{context.DeadlineExceeded, 1}, {data.Away, 2}} {
		b := newBlocked(t)
		g := newGets(b.ask)
		var callers sync.WaitGroup
		first := b.first(t, g, &callers)
		got := make(chan error, 2)
		for i := range 2 {
			go func() { _, err := g.get(t.Context(), fmt.Sprint("key ", i)); got <- err }()
			waits(t, g, i+1)
		}
		first[0].answer <- nil
		b.begins(t, 2).answer <- c.err
		if c.failed == 1 { // the other is asked for by itself
			b.begins(t, 1).answer <- nil
		}
		failed := 0
		for range 2 {
			if err := outcome(t, got); err != nil {
				failed++
			}
		}
		if failed != c.failed {
			t.Errorf("%v: %d callers failed", c.err, failed)
		}
		for _, r := range first[1:] {
			r.answer <- nil
		}
		callers.Wait()
	}
}
