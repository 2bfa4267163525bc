package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/trigger"
)

const (
	receiveAtOnce = 64 // most messages asked of one Receive
	closeTime     = 5 * time.Second
	lagEvery      = 10 * time.Second
)

// session is a Session and what the engine knows of it.
type session struct {
	Session
	epoch   uint32
	ctx     context.Context // done when it is lost or closed
	lose    context.CancelCauseFunc
	closing atomic.Bool // nothing of it is held back any more
	replier Replier     // nil if it is none; so the others
	bulk    Bulk
	numbers Numberer // nil unless a sink wants them
}

func newSession(r *run, s Session) *session {
	q := &session{Session: s, epoch: r.epoch}
	q.ctx, q.lose = context.WithCancelCause(r.base)
	q.replier, _ = s.(Replier)
	q.bulk, _ = s.(Bulk)
	if r.policy.Sinks() {
		q.numbers, _ = s.(Numberer)
	}
	return q
}

// gone reports whether nothing of the session may be settled any more.
func (s *session) gone() bool { return s.ctx.Err() != nil }

var errEnd = errors.New("the source ended the session")

// serve runs a session to its end: nil at a stop or a seek, else why it was
// lost.
func (r *run) serve(s *session) error {
	var wg sync.WaitGroup
	wg.Go(func() { r.attend(s) })
	wg.Go(func() { r.policy.Forward(s.ctx) })
	r.setSession(s)
	err := r.receive(s)
	if err == nil {
		err = r.drain(s)
	}
	s.lose(err)
	wg.Wait()
	r.line.putAll(r.line.clear(s))
	r.line.putAll(r.line.clearOpen(s))
	r.setSession(nil)
	ctx, cancel := context.WithTimeout(r.base, closeTime)
	defer cancel()
	if e := s.Close(ctx); e != nil && err == nil {
		r.log.Warn("close session failed", "error", e)
	}
	return err
}

func (r *run) setSession(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sess = s
}

// receive brings messages into the line until the trigger shall stop or seek
// (nil), or the session is lost.
func (r *run) receive(s *session) error {
	ms := make([]*Message, receiveAtOnce)
	for {
		ctx, cancel, ok := r.gate.Turn(r.ctx, s.ctx)
		if !ok {
			return context.Cause(s.ctx)
		}
		err := r.receiveUntil(ctx, s, ms)
		halted := ctx.Err() != nil
		cancel()
		switch {
		case s.gone():
			return context.Cause(s.ctx)
		case halted: // by a stop, a pause or a seek
		case err == nil, errors.Is(err, io.EOF):
			return errEnd
		default:
			return err
		}
	}
}

// receiveUntil receives until ctx is done or Receive fails.
func (r *run) receiveUntil(ctx context.Context, s *session, ms []*Message) error {
	for {
		n := r.line.empty(ctx, ms)
		if n == 0 {
			return ctx.Err()
		}
		got, err := s.Receive(ctx, ms[:n])
		r.line.arrive(s, ms[:got], ms[got:n])
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// drain settles all that came from a session: gives back what was not begun if
// the broker takes it, else runs it, and waits for the rest.
func (r *run) drain(s *session) error {
	s.closing.Store(true)
	if d, ok := s.Session.(Drainer); ok {
		if err := r.empty(s, d); err != nil {
			r.log.Warn("drain source failed; what it still had may be lost", "error", err)
		}
	} else if r.o.Requeues {
		r.cease(s)
		out := r.line.clear(s)
		for _, m := range out {
			r.settle(m, Verdict{Action: Requeue})
		}
		r.line.putAll(out)
	}
	r.line.hurry(true)
	r.line.idle()
	r.line.hurry(false)
	if d, ok := r.h.(trigger.Drainer); ok && r.line.opens() > 0 {
		d.Drain()
	}
	ctx, cancel := context.WithTimeout(s.ctx, r.laterWait)
	r.line.settled(ctx)
	cancel()
	out := r.line.clearOpen(s)
	for _, m := range out {
		r.giveBack(m)
	}
	r.line.putAll(out)
	return context.Cause(s.ctx)
}

// cease tells a broker that takes messages back to send no more.
func (r *run) cease(s *session) {
	x, ok := s.Session.(Stopper)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, closeTime)
	defer cancel()
	if err := x.Stop(ctx); err != nil {
		r.log.Warn("tell broker to send no more failed", "error", err)
	}
}

// empty tells the source to send no more and takes what it has sent.
func (r *run) empty(s *session, d Drainer) error {
	ctx, cancel := context.WithTimeout(s.ctx, 2*closeTime)
	defer cancel()
	if err := d.Drain(ctx); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	err := r.receiveUntil(ctx, s, make([]*Message, receiveAtOnce))
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// attend tells the broker of messages that are worked on for long, and asks it
// how many wait.
func (r *run) attend(s *session) {
	x, _ := s.Session.(Extender)
	l, _ := s.Session.(Lagger)
	every := r.o.ExtendEvery
	if x == nil || every <= 0 {
		x, every = nil, time.Hour
	}
	extend, lag := time.NewTicker(every), time.NewTicker(lagEvery)
	defer extend.Stop()
	defer lag.Stop()
	r.askLag(s, l)
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-extend.C:
			r.extend(s, x)
		case <-lag.C:
			r.askLag(s, l)
			r.trim(s)
		}
	}
}

// trim has the sink forget what the broker will never deliver again.
func (r *run) trim(s *session) {
	f, ok := s.Session.(Floorer)
	if !ok || s.numbers == nil {
		return
	}
	n, err := f.Floor(s.ctx)
	if err != nil {
		return // the next one may be heard
	}
	topic, source := s.numbers.Numbering()
	r.policy.Trim(s.ctx, trigger.Place{Topic: topic, Source: source, Shard: trigger.Unordered, Offset: int64(n)}) //nolint:gosec // brokers count in 63 bits
}

func (r *run) extend(s *session, x Extender) {
	if x == nil {
		return
	}
	for _, m := range r.line.unsettled(s) {
		if err := x.Extend(s.ctx, &m); err != nil && !s.gone() {
			r.log.Warn("tell broker of a long message failed", "error", err)
		}
	}
}

func (r *run) askLag(s *session, l Lagger) {
	if l == nil {
		return
	}
	n, err := l.Lag(s.ctx)
	if err != nil {
		n = -1
	}
	r.mu.Lock()
	r.lag = n
	r.mu.Unlock()
}

// unsettled copies what a session needs to know its messages by.
func (l *line) unsettled(s *session) (out []Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.all {
		if m.here && m.sess == s {
			out = append(out, Message{Tag: m.Tag, Ref: m.Ref})
		}
	}
	return out
}
