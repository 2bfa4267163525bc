package queue

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/delivery"
)

// worker is one caller of the handler.
type worker struct {
	*run
	runner *delivery.Runner
	ms     []*Message
	items  []*delivery.Item
	done   []*Message
}

func (r *run) newWorker() *worker {
	n := r.policy.BatchSize
	return &worker{run: r, runner: r.policy.NewRunner(r.h), ms: make([]*Message, 0, n), items: make([]*delivery.Item, 0, n)}
}

func (w *worker) loop() {
	for {
		ms := w.line.take(w.ms[:0])
		if len(ms) == 0 {
			return
		}
		w.process(ms)
		clear(ms)
	}
}

// process runs messages once and sees to what becomes of them.
func (w *worker) process(ms []*Message) {
	n := 0
	w.items = w.items[:0]
	for _, m := range ms {
		if w.admit(m) {
			ms[n] = m
			n++
			w.items = append(w.items, &m.item)
		}
	}
	if n == 0 {
		return
	}
	w.runner.Run(w.base, w.items)
	if n == 1 {
		w.after(ms[0])
		return
	}
	for _, m := range ms[:n] {
		if next, pause := w.outcome(m); next == delivery.Done && w.complete(m) {
			w.done = append(w.done, m)
		} else if next != delivery.Done {
			w.then(m, next, pause)
		}
	}
	w.ackAll(w.done)
	clear(w.done)
	w.done = w.done[:0]
}

// admit prepares a message to be run, or ends it here.
func (r *run) admit(m *Message) bool {
	if m.sess.gone() {
		r.line.recycle(m)
		return false
	}
	if m.fresh {
		m.fresh = false
		r.name(m)
		if !r.policy.Plain() && r.policy.Skip(r.base, &m.item.Orig) {
			r.counts.Skipped.Add(1)
			r.settle(m, Verdict{Action: Ack})
			r.line.recycle(m)
			return false
		}
	}
	if r.policy.Explicit != "disable" {
		r.line.expect(m)
	}
	if r.policy.TooOld(&m.item) {
		r.line.forget(m)
		r.then(m, delivery.Dead, 0)
		return false
	}
	return true
}

// name fills in what the engine knows of the event.
func (r *run) name(m *Message) {
	ev := &m.Event
	ev.Source = r.source
	ev.Token = event.Token{Epoch: m.sess.epoch, Offset: m.seq}
	if len(ev.ID) == 0 {
		b := append(m.id[:0], r.nonce...)
		ev.ID = strconv.AppendInt(b, m.seq, 10)
	}
	if ev.Time.IsZero() {
		ev.Time = m.came
	}
	m.item.Orig = *ev
	if m.sess.numbers != nil {
		topic, source := m.sess.numbers.Numbering()
		m.item.Place = trigger.Place{Topic: topic, Source: source, Shard: trigger.Unordered, Offset: int64(m.Tag)} //nolint:gosec // brokers count in 63 bits
	}
	m.item.Attempts = r.before(m)
}

// before is how many attempts a message has behind it. Where attempts wait at
// the broker its count says so. Elsewhere it also counts deliveries that were
// given back unharmed: only what is far beyond the attempts tells of an event
// that kills its processor.
func (r *run) before(m *Message) int {
	if r.o.Delays {
		return m.Delivered
	}
	return max(0, m.Delivered-max(r.policy.Attempts, delivery.DefaultAttempts))
}

// outcome is what becomes of a message that ran; how its token was settled goes
// before what its handler returned.
func (r *run) outcome(m *Message) (delivery.Next, time.Duration) {
	if r.policy.Explicit != "disable" {
		if early := r.line.returned(m); early != nil {
			m.item.Err = *early
			if *early == nil {
				return delivery.Done, 0
			}
		}
	}
	next, pause := r.policy.Decide(&m.item)
	return next, pause
}

func (r *run) after(m *Message) {
	next, pause := r.outcome(m)
	r.then(m, next, pause)
}

// then does what was decided.
func (r *run) then(m *Message, next delivery.Next, pause time.Duration) {
	if next == delivery.Later {
		r.later(m)
		return
	}
	if r.policy.Explicit != "disable" {
		r.line.forget(m)
	}
	if m.sess.gone() {
		r.line.recycle(m)
		return
	}
	closing := m.sess.closing.Load()
	switch next {
	case delivery.Done:
		if r.complete(m) {
			r.ack(m)
		}
	case delivery.Dead:
		r.dead(m)
	case delivery.Retry:
		r.counts.Retried.Add(1)
		r.again(m, pause, closing)
	case delivery.Busy:
		r.counts.Again.Add(1)
		r.busy(m, pause, closing)
	case delivery.Leave:
		r.counts.Again.Add(1)
		if r.o.Requeues || !closing {
			r.busy(m, pause, closing)
			return
		}
		r.dead(m)
	}
}

// again sees to it that a message is run once more.
func (r *run) again(m *Message, pause time.Duration, closing bool) {
	switch {
	case closing && r.o.Requeues:
		r.requeue(m, 0)
	case closing && r.policy.Attempts < 0: // it would never end
		r.dead(m)
	case r.o.Delays && !closing:
		r.requeue(m, pause)
	default:
		r.line.hold(m, pause)
	}
}

// busy is again for a message that did not run.
func (r *run) busy(m *Message, pause time.Duration, closing bool) {
	if closing && r.o.Requeues {
		r.requeue(m, 0)
		return
	}
	if closing {
		delivery.Sleep(r.base, pause)
	}
	r.line.hold(m, max(pause, time.Millisecond))
}

func (r *run) requeue(m *Message, delay time.Duration) {
	if r.o.Delays {
		r.settle(m, Verdict{Action: Requeue, Delay: delay})
	} else {
		r.settle(m, Verdict{Action: Requeue})
	}
	r.line.recycle(m)
}

// complete does what comes before the ack of a message that is done; false if
// it could not be done and the message went back.
func (r *run) complete(m *Message) bool {
	if r.policy.Explicit != "disable" {
		r.line.forget(m)
	}
	if r.policy.Celebrates() && !r.policy.Celebrate(r.ctx, &m.item) {
		r.giveBack(m)
		r.line.recycle(m)
		return false
	}
	r.policy.Remember(r.base, &m.item.Orig)
	r.reply(m, m.item.Answer(), nil)
	r.counts.Done.Add(1)
	return true
}

func (r *run) ack(m *Message) {
	r.settle(m, Verdict{Action: Ack})
	r.line.recycle(m)
}

// ackAll acks the messages of a batch that are done.
func (r *run) ackAll(ms []*Message) {
	if len(ms) == 0 {
		return
	}
	if s := ms[0].sess; s.bulk != nil && oneSession(ms) {
		if !s.gone() {
			if err := s.bulk.AckAll(s.ctx, ms); err != nil {
				s.lose(err)
			}
		}
	} else {
		for _, m := range ms {
			r.settle(m, Verdict{Action: Ack})
		}
	}
	for _, m := range ms {
		r.line.recycle(m)
	}
}

func oneSession(ms []*Message) bool {
	for _, m := range ms[1:] {
		if m.sess != ms[0].sess {
			return false
		}
	}
	return true
}

// dead gives a message up, as the spec says.
func (r *run) dead(m *Message) {
	switch r.policy.OnFailure {
	case delivery.Broker:
		r.reply(m, nil, m.item.Err)
		r.settle(m, Verdict{Action: Reject, Reason: m.item.Err.Error()})
		r.counts.Dead.Add(1)
	case delivery.Stop:
		r.gate.Pause("stopped at a message that failed: " + m.item.Err.Error())
		m.item.Attempts = 0
		r.again(m, 0, m.sess.closing.Load())
		return
	default:
		if !r.policy.Bury(r.ctx, &m.item) {
			r.giveBack(m)
			r.line.recycle(m)
			return
		}
		r.reply(m, nil, m.item.Err)
		r.settle(m, Verdict{Action: Ack})
		if r.policy.OnFailure == delivery.Drop {
			r.counts.Dropped.Add(1)
		} else {
			r.counts.Dead.Add(1)
		}
	}
	r.line.recycle(m)
}

// giveBack leaves a message to the broker, if it takes any back.
func (r *run) giveBack(m *Message) {
	if r.o.Requeues {
		r.settle(m, Verdict{Action: Requeue})
		return
	}
	r.log.Error("message lost: it was not finished, and the broker takes none back", "id", string(m.Event.ID))
}

func (r *run) reply(m *Message, resp *event.Response, err error) {
	s := m.sess
	if s.replier == nil || s.gone() || !s.replier.Wants(m) {
		return
	}
	if e := s.replier.Reply(s.ctx, m, resp, err); e != nil {
		s.lose(e)
	}
}

// settle tells the broker, unless the session is gone: then it has the message
// already.
func (r *run) settle(m *Message, v Verdict) {
	s := m.sess
	if s.gone() {
		return
	}
	if err := s.Settle(s.ctx, m, v); err != nil && !errors.Is(err, context.Canceled) {
		s.lose(err)
	}
}
