package soak

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
)

var (
	only   = flag.String("runtime", "", "the one runtime to soak: python, nodejs, java, golang or c; all by default")
	events = flag.Int("events", 0, "events to send to each runtime, over all kinds of workers; 0 for a few seconds of them")
	seed   = flag.Uint64("seed", 0, "of everything random; 0 takes a new one")
)

const (
	callers = 32
	report  = 10 * time.Second
)

// each runs a test for each runtime that was asked for, with its number of events.
func each(t *testing.T, run func(t *testing.T, l *language, n int)) {
	found := false
	for _, l := range languages() {
		if *only != "" && *only != l.name {
			continue
		}
		found = true
		n := *events
		if n == 0 {
			n = l.short
		}
		t.Run(l.name, func(t *testing.T) { run(t, l, n) })
	}
	if !found {
		t.Fatalf("there is no runtime %q", *only)
	}
}

// An honest worker's events each have one outcome, which is right, and ran at
// most once, whenever workers are killed or stopped.
func TestHonestWorkersAreKilled(t *testing.T) {
	each(t, func(t *testing.T, l *language, n int) {
		for _, handler := range slices.Sorted(maps.Keys(l.shares)) {
			t.Run("handler="+handler, func(t *testing.T) {
				s := newSoak(t, l, n*l.shares[handler]/10, handler)
				s.judge = s.judgeHonest
				s.run(t)
				s.audit(t)
			})
		}
	})
}

// A worker that writes garbage over its memory may spoil its own answers, but
// each of its events has one outcome, soon, and the processor stays whole.
func TestHostileWorkers(t *testing.T) {
	each(t, func(t *testing.T, l *language, n int) {
		if l.hostile == "" {
			return // it lies in this process, and so is trusted with all of its memory
		}
		s := newSoak(t, l, n*2/10, l.hostile)
		s.judge = s.judgeHostile
		s.run(t)
		if s.scribbled() == 0 || s.n >= long && s.restarts() == 0 {
			t.Error("no worker was caught; the hostile function did nothing")
		}
		if slices.Contains(s.verdict, none) {
			t.Error("an event has no outcome")
		}
	})
}

// soak is one pool, its enemies and its books.
type soak struct {
	*target
	seed     uint64
	n        int
	next     atomic.Int64
	half     chan usage
	judge    func(q *request, body []byte, err error) error
	outcomes [outcomes]atomic.Int64
	verdict  []outcome // by event
}

type outcome uint8

const (
	none outcome = iota
	answered
	failed // the function raised an exception
	crashed
	timedOut
	busy
	other
	outcomes
)

func newSoak(t *testing.T, l *language, n int, handler string) *soak {
	t.Helper()
	s := &soak{seed: *seed, n: n, verdict: slices.Repeat([]outcome{other}, n), half: make(chan usage, 1)}
	clear(s.verdict) // after it was written: its memory is there from the beginning
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	t.Logf("%d events, seed %d", n, s.seed)
	s.target = newTarget(t, l, n, handler)
	return s
}

// run sends all events while workers are killed, and looks for what is left.
func (s *soak) run(t *testing.T) {
	before, began := measure(), time.Now()
	s.open(t)
	stop := make(chan struct{})
	pause := s.language.pause
	if s.n >= long {
		pause *= 5
	}
	var enemies, all sync.WaitGroup
	enemies.Go(func() { s.harass(rand.New(rand.NewPCG(s.seed, 1)), pause, stop) })
	enemies.Go(func() { s.progress(t, stop) })
	for g := range callers {
		all.Go(func() {
			c := caller{soak: s, way: ways[g%len(ways)], r: rand.New(rand.NewPCG(s.seed, uint64(g)+2))}
			send := c.send
			if g < submitters && s.language.submits {
				by := submitter{caller: c, id: workers + g}
				by.resps = []*event.Response{{}}
				send = by.send
			}
			if err := send(); err != nil {
				t.Errorf("caller %d: %v", g, err)
			}
		})
	}
	all.Wait()
	end, took := measure(), time.Since(began)
	close(stop)
	enemies.Wait()
	harm := s.harm()
	s.close(t)
	half := <-s.half
	t.Logf("%d events in %s: %s; %s; %d MiB at half time, %d at the end", s.n, took.Round(time.Millisecond), s.tally(), harm, half.kib>>10, end.kib>>10)
	compare(t, before, half, end)
}

// progress tells now and then how far it has come.
func (s *soak) progress(t *testing.T, stop chan struct{}) {
	tick := time.NewTicker(report)
	defer tick.Stop()
	for last := int64(0); ; {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		done := min(s.next.Load(), int64(s.n))
		t.Logf("%d of %d events, %d/s, %d MiB; %s; %s", done, s.n, (done-last)/int64(report.Seconds()), measure().kib>>10, s.tally(), s.harm())
		last = done
	}
}

// judgeHonest checks one outcome of an honest worker, and that it is the only one.
func (s *soak) judgeHonest(q *request, body []byte, err error) error {
	if s.verdict[q.n] != none {
		return errors.New("it has an outcome already")
	}
	o := s.count(q, err)
	switch {
	case o == other:
		return fmt.Errorf("unexpected outcome: %w", err)
	case o == failed && !q.fails():
		return fmt.Errorf("failed: %w", err)
	case o == answered && q.fails():
		return errors.New("it was to fail")
	case o == answered && string(body) != q.answer():
		return fmt.Errorf("another's answer, or a spoilt one: %d bytes, %.60q", len(body), body)
	}
	return nil
}

func (s *soak) judgeHostile(q *request, body []byte, err error) error {
	if s.verdict[q.n] != none {
		return errors.New("it has an outcome already")
	}
	s.count(q, err)
	if err == nil && len(body) > 2<<20 {
		return fmt.Errorf("an answer of %d bytes", len(body))
	}
	return nil
}

func (s *soak) count(q *request, err error) (o outcome) {
	var fail *event.Error
	switch {
	case err == nil:
		o = answered
	case errors.As(err, &fail):
		o = failed
	case errors.Is(err, event.ErrCrashed):
		o = crashed
	case errors.Is(err, event.ErrTimeout):
		o = timedOut
	case errors.Is(err, event.ErrBusy):
		o = busy
	default:
		o = other
	}
	s.verdict[q.n] = o
	s.outcomes[o].Add(1)
	return o
}

func (s *soak) tally() string {
	return fmt.Sprintf("%d answered, %d failed, %d crashed, %d timed out, %d busy, %d other", s.outcomes[answered].Load(),
		s.outcomes[failed].Load(), s.outcomes[crashed].Load(), s.outcomes[timedOut].Load(), s.outcomes[busy].Load(), s.outcomes[other].Load())
}

// audit compares the outcomes with what the functions themselves noted.
func (s *soak) audit(t *testing.T) {
	ran, err := s.runs()
	if err != nil {
		t.Fatal(err)
	}
	if problem := disagree(s.verdict, ran); problem != "" {
		t.Fatal(problem)
	}
	if ok := s.outcomes[answered].Load(); ok < int64(s.n)/2 {
		t.Errorf("only %d of %d events were answered", ok, s.n)
	}
}

// runs reads how often each event ran: a byte for each, or, of functions that
// can only append to a file, the numbers of the events.
func (s *soak) runs() ([]byte, error) {
	ran, err := os.ReadFile(s.ledger)
	if err != nil {
		return nil, err
	}
	appended, err := os.ReadFile(s.ledger + ".runs")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return ran, addRuns(ran, appended)
}
