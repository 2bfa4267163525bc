package soak

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// submitters are callers beside the pool: each has an instance of its own, to
// which it submits many events, and hears of their ends by completion.
const submitters = 2

// submitter is such a caller. It takes another instance when its own broke.
type submitter struct {
	caller
	id     int
	flying map[uint64]flight
	again  []*request // that were not run
	tag    uint64
	ended  bool // there are no more events
}

type flight struct {
	q     *request
	place runtime.Place
}

type completed chan uint64

// Complete implements runtime.Completer.
func (c completed) Complete(tag uint64) { c <- tag }

const inFlight = 48 // events of one submitter, at most

// send is caller.send by completions.
func (s *submitter) send() error {
	s.flying = map[uint64]flight{}
	for first := true; !s.ended || len(s.again) > 0; first = false {
		if !first {
			s.replaced.Add(1)
		}
		if err := s.anew(); err != nil {
			return err
		}
	}
	return nil
}

// anew sends what one instance takes.
func (s *submitter) anew() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	in, err := s.Open(ctx, runtime.Worker{ID: s.id})
	if err != nil {
		return ctx.Err() // or it was killed at once
	}
	err = s.through(in)
	closing, end := context.WithTimeout(context.Background(), s.language.timeout)
	defer end()
	_ = in.Close(closing) // a stopped worker has to be killed
	return err
}

// through sends events until the instance is broken or there are none.
func (s *submitter) through(in runtime.Instance) error {
	done := make(completed, inFlight)
	for broken := false; ; {
		if !broken {
			var err error
			if broken, err = s.submit(in, done); err != nil {
				return err
			}
		}
		if len(s.flying) == 0 {
			if broken || s.ended && len(s.again) == 0 {
				return nil
			}
			continue
		}
		bad, err := s.outcome(in, done)
		if err != nil {
			return err
		}
		broken = broken || bad
	}
}

// submit submits as much as there is room for.
func (s *submitter) submit(in runtime.Instance, done completed) (broken bool, err error) {
	sub := in.(runtime.Submitter)
	defer sub.Flush()
	for room := min(in.(runtime.Concurrent).Depth(), inFlight); len(s.flying) < room; {
		q := s.take()
		if q == nil {
			return false, nil
		}
		n := len(q.body)
		if s.r.IntN(2) == 0 {
			n = 0 // the body comes in memory of the caller's
		}
		place, body := sub.Begin(n)
		if place == nil {
			s.again = append(s.again, q)
			return len(s.flying) == 0, nil // nothing takes its room: it is gone
		}
		if q.ev.Body = q.body; len(body) == len(q.body) {
			copy(body, q.body)
			q.ev.Body = body
		}
		s.tag++
		switch err := place.Commit(&q.ev, runtime.Terms{Done: done, Tag: s.tag}); {
		case err == nil:
			s.flying[s.tag] = flight{q, place}
		case errors.Is(err, event.ErrNotRun):
			s.again = append(s.again, q)
			return true, nil
		default:
			if err := s.settleOne(q, nil, err); err != nil {
				return true, err
			}
		}
	}
	return false, nil
}

// take is the next event: one that was not run, or a new one; nil if there is none.
func (s *submitter) take() *request {
	if k := len(s.again); k > 0 {
		q := s.again[k-1]
		s.again = s.again[:k-1]
		return q
	}
	n := int(s.next.Add(1)) - 1
	if n >= s.n {
		s.ended = true
		return nil
	}
	if n == s.n/2 {
		s.half <- measure()
	}
	q := &request{}
	q.fill(s.r, n, s.language.paths, nil)
	return q
}

// outcome waits for one event's. A worker that is mute for long is killed.
func (s *submitter) outcome(in runtime.Instance, done completed) (broken bool, err error) {
	watchdog := time.AfterFunc(s.language.timeout, func() { _ = in.(runtime.Killer).Kill() })
	defer watchdog.Stop()
	tag := <-done
	f := s.flying[tag]
	delete(s.flying, tag)
	resp := s.resps[0]
	resp.Reset()
	resp.Takes = event.TakesViews
	switch err := f.place.Outcome(resp); {
	case errors.Is(err, event.ErrNotRun):
		s.again = append(s.again, f.q)
		return true, nil
	default:
		body, err := s.contentOf(resp, err)
		broken = errors.Is(err, event.ErrCrashed)
		err = s.settleOne(f.q, body, err)
		resp.Reset()
		return broken, err
	}
}

func (s *submitter) settleOne(q *request, body []byte, err error) error {
	if problem := s.judge(q, body, err); problem != nil {
		return fmt.Errorf("event %d by completion, %d bytes to %s: %w", q.n, len(q.body), q.path, problem)
	}
	return nil
}
