package runtimetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

type completions chan uint64

func (c completions) Complete(tag uint64) { c <- tag }

// submit sends many events from one goroutine, as far ahead as the instance
// takes them, and checks that each gets its answer.
func submit(t *testing.T, f Fixture) {
	in := f.open(t, Echo)
	s, ok := in.(runtime.Submitter)
	if !ok {
		t.Skip("the runtime takes no submissions")
	}
	const events = 300
	done := make(completions, events)
	places, want := map[uint64]runtime.Place{}, map[uint64]string{}
	next := uint64(0)
	for finished := 0; finished < events; {
		for next < events {
			body := strings.Repeat(fmt.Sprintf("%d;", next), 1+int(next*next*next)%9000)
			p, room := s.Begin(len(body))
			if p == nil {
				break
			}
			ev := newEvent(body)
			if len(room) == len(body) { // the body's final place
				copy(room, body)
				ev.Body = room
			}
			if next%50 == 49 {
				p.Abort()
				p, _ = s.Begin(0)
				ev = newEvent(body)
			}
			if err := p.Commit(ev, runtime.Terms{Done: done, Tag: next}); err != nil {
				t.Fatal(err)
			}
			places[next], want[next] = p, body
			next++
		}
		s.Flush()
		tag := await(t, done)
		resp := &event.Response{}
		if err := places[tag].Outcome(resp); err != nil || string(resp.Body) != want[tag] {
			t.Fatalf("event %d: %.40q, want %.40q, %v", tag, resp.Body, want[tag], err)
		}
		delete(places, tag)
		finished++
	}
	answers(t, in, "x", "x")
}

// submitAndKill checks that every submitted event has its outcome when the
// worker ends, and that a broken instance takes none.
func submitAndKill(t *testing.T, f Fixture) {
	in := f.open(t, Hang)
	s, ok := in.(runtime.Submitter)
	k, killer := in.(runtime.Killer)
	if !ok || !killer {
		t.Skip("the runtime takes no submissions, or cannot stop its function")
	}
	answers(t, in, "", "ok")
	done := make(completions, 20)
	var places []runtime.Place
	for i := range cap(done) {
		p, _ := s.Begin(0)
		if err := p.Commit(newEvent("hang"), runtime.Terms{Done: done, Tag: uint64(i)}); err != nil {
			t.Fatal(err)
		}
		places = append(places, p)
	}
	s.Flush()
	if err := k.Kill(); err != nil {
		t.Fatal(err)
	}
	for range places {
		if err := places[await(t, done)].Outcome(&event.Response{}); !errors.Is(err, event.ErrCrashed) && !errors.Is(err, event.ErrNotRun) {
			t.Errorf("killed: %v", err)
		}
	}
	gone(t, in)
	if p, _ := s.Begin(0); p != nil {
		if err := p.Commit(newEvent(""), runtime.Terms{}); !errors.Is(err, event.ErrNotRun) {
			t.Errorf("a broken instance took an event: %v", err)
		}
	}
}
