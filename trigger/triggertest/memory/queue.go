// Package memory has a queue and a log in the memory of the process, each with
// the trigger that reads it: the smallest sources that the engines can have. The
// suites of triggertest are tried on them first. They know no network.
package memory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// Queue is a queue, and the broker that it is at.
type Queue struct {
	Options queue.Options
	// Defect plants a mistake in the trigger, for tests of the suite.
	Defect string

	mu       sync.Mutex
	changed  chan struct{} // closed and made anew
	waiting  []*message
	away     bool
	absent   bool
	sessions map[*queueSession]bool
	Rejected []string
	tags     uint64
}

type message struct {
	triggertest.Record
	delivered int
	id        uint64
	from      time.Time // not to be delivered before
}

// NewQueue makes a queue whose broker has these traits.
func NewQueue(o queue.Options) *Queue {
	o.Kind = "memory"
	return &Queue{Options: o, changed: make(chan struct{}), sessions: map[*queueSession]bool{}}
}

var errAway = errors.New("the broker is away")

func (q *Queue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// Produce implements triggertest.Broker.
func (q *Queue) Produce(_ testing.TB, rs ...triggertest.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range rs {
		q.tags++
		q.waiting = append(q.waiting, &message{Record: r, id: q.tags})
	}
	q.wake()
}

// Trigger implements triggertest.Broker.
func (q *Queue) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	e, err := queue.New(s, q.Options, (*queueSource)(q))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Source returns the queue as an engine sees it.
func (q *Queue) Source() queue.Source { return (*queueSource)(q) }

// Cut implements triggertest.Cutter.
func (q *Queue) Cut(testing.TB) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for s := range q.sessions {
		s.breakLocked(errors.New("connection reset"))
	}
	q.wake()
}

// Away implements triggertest.Switch.
func (q *Queue) Away(t testing.TB) {
	q.mu.Lock()
	q.away = true
	q.mu.Unlock()
	q.Cut(t)
}

// Back implements triggertest.Switch.
func (q *Queue) Back(testing.TB) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.away = false
}

// Broken implements triggertest.Breaker.
func (q *Queue) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	q.absent = true
	return map[string]triggertest.Broken{"absent": {Trigger: q.Trigger(t, s), Says: "no queue", Mend: func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.absent = false
	}}}
}

// queueSource is the queue as the engine sees it.
type queueSource Queue

// Connect implements queue.Source.
func (qs *queueSource) Connect(_ context.Context, w queue.Want) (queue.Session, error) {
	q := (*Queue)(qs)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.away:
		return nil, errAway
	case q.absent:
		return nil, errors.New("no queue of that name")
	}
	s := &queueSession{q: q, prefetch: w.Prefetch, open: map[uint64]*message{}}
	q.sessions[s] = true
	if !q.Options.Requeues {
		return &drained{s}, nil
	}
	return s, nil
}

type queueSession struct {
	q        *Queue
	prefetch int
	open     map[uint64]*message
	lost     error
	drained  bool
}

// breakLocked loses the session: what it had not settled is delivered again.
func (s *queueSession) breakLocked(why error) {
	if s.lost != nil {
		return
	}
	s.lost = why
	delete(s.q.sessions, s)
	if s.q.Defect == "forgets unacked" {
		return
	}
	for _, m := range s.open {
		s.q.waiting = append(s.q.waiting, m)
	}
}

// Receive implements queue.Session.
func (s *queueSession) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	for {
		s.q.mu.Lock()
		n, next := s.fill(ms)
		changed, lost, drained := s.q.changed, s.lost, s.drained
		s.q.mu.Unlock()
		switch {
		case lost != nil:
			return 0, lost
		case n > 0:
			return n, nil
		case drained:
			return 0, io.EOF
		}
		t := time.NewTimer(next)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return 0, ctx.Err()
		}
		t.Stop()
	}
}

// fill takes what is due, and says how long nothing else will be.
func (s *queueSession) fill(ms []*queue.Message) (n int, next time.Duration) {
	next = time.Hour
	now := time.Now()
	s.q.waiting = slices.DeleteFunc(s.q.waiting, func(m *message) bool {
		if n == len(ms) || s.lost != nil || len(s.open) >= s.prefetch {
			return false
		}
		if wait := m.from.Sub(now); wait > 0 {
			next = min(next, wait)
			return false
		}
		s.deliver(ms[n], m)
		n++
		return true
	})
	return n, next
}

func (s *queueSession) deliver(to *queue.Message, m *message) {
	s.open[m.id] = m
	to.Tag, to.Delivered = m.id, m.delivered
	m.delivered++
	to.Buffer = append(to.Buffer[:0], m.Body...)
	to.Buffer = append(to.Buffer, m.Key...)
	b := to.Buffer
	ev := &to.Event
	ev.Body, ev.Topic = b[:len(m.Body):len(m.Body)], "memory"
	if m.Key != "" {
		ev.Key = b[len(m.Body):]
	}
	var p event.Pairs
	for k, v := range m.Headers {
		p = append(p, event.Pair{Key: k, Value: []byte(v)})
	}
	ev.Headers = p
}

// Settle implements queue.Session.
func (s *queueSession) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	q := s.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.lost != nil {
		return s.lost
	}
	was := s.open[m.Tag]
	if was == nil {
		panic(fmt.Sprintf("message %d settled twice", m.Tag))
	}
	delete(s.open, m.Tag)
	switch v.Action {
	case queue.Requeue:
		if q.Defect == "loses requeued" {
			break
		}
		if v.Delay > 0 {
			was.from = time.Now().Add(v.Delay)
		} else {
			was.delivered-- // given back unharmed
		}
		q.waiting = append(q.waiting, was)
	case queue.Reject:
		q.Rejected = append(q.Rejected, was.Body)
	}
	q.wake()
	return nil
}

// Lag implements queue.Lagger.
func (s *queueSession) Lag(context.Context) (int64, error) {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	return int64(len(s.q.waiting)), s.lost
}

// Close implements queue.Session.
func (s *queueSession) Close(context.Context) error {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	s.breakLocked(errors.New("closed"))
	s.q.wake()
	return nil
}

// drained is a session of a broker that takes nothing back.
type drained struct{ *queueSession }

// Drain implements queue.Drainer.
func (d *drained) Drain(context.Context) error {
	d.q.mu.Lock()
	defer d.q.mu.Unlock()
	d.drained = true
	d.prefetch = len(d.open)
	d.q.wake()
	return nil
}
