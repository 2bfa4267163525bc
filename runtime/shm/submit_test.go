package shm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm/ring"
)

type completions chan uint64

func (c completions) Complete(tag uint64) { c <- tag }

// Many events of one goroutine, whose bodies are written where they stay.
func TestSubmit(t *testing.T) {
	in := openWorker(t, "echo", Limits{})
	done := make(completions, 100)
	var places [100]runtime.Place
	var want [100]string
	for i := range places {
		want[i] = strings.Repeat(string(rune('a'+i%26)), (i%7)*(i%3)*900)
		p, body := in.Begin(len(want[i]))
		if p == nil || len(body) != len(want[i]) {
			t.Fatalf("event %d: no place, or one for %d bytes of %d", i, len(body), len(want[i]))
		}
		ev := event.Event{Body: body}
		copy(body, want[i])
		if i%5 == 0 { // metadata that fits no slot
			ev.Path = []byte(strings.Repeat("p", 6000))
		}
		if i%4 == 0 { // a body that lies elsewhere after all
			ev.Body = []byte(want[i])
		}
		if err := p.Commit(&ev, runtime.Terms{Done: done, Tag: uint64(i)}); err != nil {
			t.Fatal(err)
		}
		places[i] = p
	}
	in.Flush()
	for range places {
		i := <-done
		var resp event.Response
		if err := places[i].Outcome(&resp); err != nil || string(resp.Body) != want[i] {
			t.Errorf("event %d: %d bytes of %d, %v", i, len(resp.Body), len(want[i]), err)
		}
	}
	if len(in.free) != in.Slots {
		t.Errorf("%d slots of %d are free", len(in.free), in.Slots)
	}
	if off, ok := in.arena.alloc(in.Arena); !ok {
		t.Error("blocks are left in use")
	} else {
		in.arena.release(off, in.Arena)
	}
}

// Nothing waits: there is a place or there is none.
func TestSubmitRefuses(t *testing.T) {
	in := openWorker(t, "echo", Limits{Slots: 4, Arena: 64 << 10})
	var places []runtime.Place
	for {
		p, _ := in.Begin(16 << 10)
		if p == nil {
			break
		}
		places = append(places, p)
	}
	if len(places) != 4 {
		t.Errorf("%d places of 4", len(places))
	}
	for _, p := range places {
		p.Abort()
	}
	p, body := in.Begin(48 << 10)
	if p == nil || body != nil {
		t.Fatalf("a body for a file has a place of %d bytes", len(body))
	}
	if err := p.Commit(&event.Event{Body: make([]byte, 48<<10)}, runtime.Terms{}); err != nil {
		t.Fatal(err)
	}
	in.Flush()
	_ = in.Kill() // this worker reads no files
	if err := p.Outcome(&event.Response{}); err != nil && !errors.Is(err, event.ErrCrashed) && !errors.Is(err, event.ErrNotRun) {
		t.Error(err)
	}
	<-in.Broken()
	if p, _ := in.Begin(1); p != nil {
		t.Error("a place in a worker that is gone")
	}
}

// Events that stay are not called back; others are, and everybody hears of it.
func TestSubmitRecall(t *testing.T) {
	in := openWorker(t, "slow", Limits{})
	first := make(chan error, 1)
	go func() {
		first <- in.Invoke(context.Background(), &event.Event{Body: make([]byte, 300)}, &event.Response{})
	}()
	for ring.Word(in.mem[offRings+ring.OffClaim:]).Load() != ring.Claim(0, ring.ClaimBegun) {
		time.Sleep(time.Millisecond)
	}
	done := make(completions, 4)
	var places [4]runtime.Place
	for i := range places {
		places[i], _ = in.Begin(0)
		if err := places[i].Commit(&event.Event{Body: []byte("x")}, runtime.Terms{Done: done, Tag: uint64(i), Stay: i%2 == 0}); err != nil {
			t.Fatal(err)
		}
	}
	in.Flush()
	in.Recall()
	if n := in.Recall(); n != 2 {
		t.Errorf("%d of 2 called back", n)
	}
	for range places {
		i := <-done
		if err := places[i].Outcome(&event.Response{}); i%2 == 0 && err != nil || i%2 == 1 && !errors.Is(err, event.ErrRecalled) {
			t.Errorf("event %d: %v", i, err)
		}
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// A round of events with one Flush allocates nothing and rings seldom.
func TestSubmitDoesNotAllocate(t *testing.T) {
	in := openWorker(t, "echo", Limits{})
	ev, resp := &event.Event{Body: []byte("body")}, &event.Response{}
	var places [64]runtime.Place
	if n := testing.AllocsPerRun(100, func() {
		for i := range places {
			places[i], _ = in.Begin(0)
			if err := places[i].Commit(ev, runtime.Terms{Tag: uint64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		in.Flush()
		for _, p := range places {
			resp.Reset()
			if err := p.Outcome(resp); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for 64 events", n)
	}
}
