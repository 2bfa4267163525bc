package shm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// aBatch is one with its answers.
type aBatch struct {
	evs   []*event.Event
	resps []*event.Response
	errs  []error
}

func newBatch(bodies ...string) *aBatch {
	c := &aBatch{}
	for _, b := range bodies {
		c.evs = append(c.evs, &event.Event{Body: []byte(b)})
		c.resps = append(c.resps, &event.Response{})
		c.errs = append(c.errs, event.ErrNotRun)
	}
	return c
}

func (c *aBatch) run(in *Instance) { in.InvokeBatch(context.Background(), c.evs, c.resps, c.errs) }

// check reports an event that was not echoed.
func (c *aBatch) check() error {
	for i, err := range c.errs {
		if err != nil {
			return fmt.Errorf("event %d of %d: %w", i, len(c.errs), err)
		}
		if string(c.resps[i].Body) != string(c.evs[i].Body) {
			return fmt.Errorf("event %d of %d: %d bytes of %d", i, len(c.errs), len(c.resps[i].Body), len(c.evs[i].Body))
		}
	}
	return nil
}

func TestBatches(t *testing.T) {
	in := openWorker(t, "echo", Limits{Slots: 16, Arena: 1 << 20})
	if n := in.MaxBatch(); n != 8 {
		t.Fatalf("at most %d in a batch", n)
	}
	var wg sync.WaitGroup
	for g := range 4 { // beside each other, and beside single events
		wg.Go(func() {
			for i := range 100 {
				var bodies []string
				for k := range 1 + (g+i)%8 {
					bodies = append(bodies, strings.Repeat(string(rune('a'+g)), (k*i*997)%12000))
				}
				c := newBatch(bodies...)
				c.run(in)
				if err := c.check(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, err := range crowd(in, 4, 100, 10_000) {
		if err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

// What is too large is left out, and bodies that together are larger than the
// arena go in files; events that are not marked as unrun are left alone.
func TestBatchOfLargeEvents(t *testing.T) {
	in := openWorker(t, "echo", Limits{Slots: 16, Arena: 64 << 10, MaxBody: 1 << 20})
	c := newBatch("a", strings.Repeat("b", 2<<20), "c", "d")
	other := errors.New("had its outcome")
	c.errs[2] = other
	c.run(in)
	var refused *event.Error
	if !errors.As(c.errs[1], &refused) || refused.Status != 413 {
		t.Errorf("too large: %v", c.errs[1])
	}
	if !errors.Is(c.errs[2], other) || len(c.resps[2].Body) > 0 {
		t.Errorf("an event that was done ran: %v", c.errs[2])
	}
	if c.errs[0] != nil || c.errs[3] != nil || string(c.resps[3].Body) != "d" {
		t.Errorf("the others: %v", c.errs)
	}
	c = newBatch(strings.Repeat("b", 2<<20))
	if c.run(in); !errors.As(c.errs[0], &refused) {
		t.Errorf("nothing but a large one: %v", c.errs)
	}
}

// A batch is called back whole or not at all.
func TestBatchIsRecalledWhole(t *testing.T) {
	in := openWorker(t, "slow", Limits{})
	first := make(chan error, 1)
	go func() {
		first <- in.Invoke(context.Background(), &event.Event{Body: make([]byte, 300)}, &event.Response{})
	}()
	for ring.Word(in.mem[offRings+ring.OffClaim:]).Load() != ring.Claim(0, ring.ClaimBegun) {
		time.Sleep(time.Millisecond)
	}
	c, done := newBatch("", "x", "y"), make(chan struct{})
	go func() { c.run(in); close(done) }()
	n := 0
	for n == 0 {
		n = in.Recall()
	}
	<-done
	if n != 3 {
		t.Errorf("%d of 3 called back", n)
	}
	for i, err := range c.errs {
		if !errors.Is(err, event.ErrRecalled) {
			t.Errorf("event %d: %v", i, err)
		}
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	c = newBatch("", "x", "y")
	if c.run(in); c.check() != nil {
		t.Error(c.check())
	}
}

// When a worker dies in a batch, what it has answered counts and all the rest
// has crashed.
func TestBatchDies(t *testing.T) {
	in := openWorker(t, "die", Limits{})
	c := newBatch("0", "1", "2", "3", "4")
	c.run(in)
	for i, err := range c.errs {
		if i > 2 && err != nil || i <= 2 && !errors.Is(err, event.ErrCrashed) {
			t.Errorf("event %d: %v", i, err)
		}
	}
	c = newBatch("0", "1")
	if c.run(in); !errors.Is(c.errs[0], event.ErrNotRun) || !errors.Is(c.errs[1], event.ErrNotRun) {
		t.Errorf("after its death: %v", c.errs)
	}
}

// An answer to a batch that streams costs the worker its life.
func TestBatchDoesNotStream(t *testing.T) {
	in := openWorker(t, "stream", Limits{})
	c := newBatch("ab", "c")
	c.run(in)
	<-in.Broken()
	for _, err := range c.errs {
		if !errors.Is(err, event.ErrCrashed) {
			t.Error(err)
		}
	}
}

// A worker that scribbles hurts no batch and no submission but with its answers:
// each event has an outcome.
func TestScribbleOverBatches(t *testing.T) {
	for range 5 {
		in := openWorker(t, "scribble", Limits{Slots: 16, Arena: 64 << 10})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for c := newBatch("a", strings.Repeat("b", 5000), "c"); ; {
					c.run(in)
					if errors.Is(c.errs[0], event.ErrNotRun) {
						return
					}
					for i := range c.errs {
						c.errs[i] = event.ErrNotRun
						c.resps[i].Reset()
					}
				}
			})
			wg.Go(func() {
				for err := error(nil); !errors.Is(err, event.ErrNotRun); {
					p, _ := in.Begin(3000)
					if p == nil {
						select {
						case <-in.Broken():
							return
						default:
							continue
						}
					}
					if err = p.Commit(&event.Event{Body: []byte("x")}, runtime.Terms{}); err == nil {
						in.Flush()
						err = p.Outcome(&event.Response{})
					}
				}
			})
		}
		wg.Go(func() {
			for {
				select {
				case <-in.Broken():
					return
				default:
					in.Recall()
				}
			}
		})
		time.AfterFunc(300*time.Millisecond, func() { _ = in.Kill() }) // if it was lucky, it ends now
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatal("callers hang")
		}
	}
}
