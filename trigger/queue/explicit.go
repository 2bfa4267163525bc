package queue

import (
	"errors"
	"fmt"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Settle implements [trigger.Settler]: it ends an event whose token the
// function kept. A nil err acks it; any other is the event's failure.
func (e *Engine) Settle(tok event.Token, err error) error {
	return e.settleIf(tok.Offset, func(m *Message) bool { return m.sess.epoch == tok.Epoch }, err)
}

// SettleAt implements [trigger.PlaceSettler]. The offset of a message is its
// number in this run of the trigger, which no other message has.
func (e *Engine) SettleAt(_ string, _ int32, offset int64, err error) error {
	return e.settleIf(offset, func(*Message) bool { return true }, err)
}

func (e *Engine) settleIf(seq int64, is func(*Message) bool, err error) error {
	if e.policy.Explicit == "disable" {
		return fmt.Errorf("settle event: %w", trigger.ErrImplicit)
	}
	e.mu.Lock()
	r := e.run
	e.mu.Unlock()
	if r == nil {
		return errors.New("settle event: the trigger does not run")
	}
	m, wait := r.line.claim(seq, is, err)
	switch {
	case wait: // its handler still runs, and will see
		return nil
	case m == nil:
		return fmt.Errorf("settle event %d: %w", seq, trigger.ErrNotOpen)
	}
	r.settled(m, err)
	return nil
}

// settled does with a message that was claimed what its settlement says.
func (r *run) settled(m *Message, err error) {
	if m.item.Err = err; err == nil {
		if r.complete(m) {
			r.ack(m)
		}
		return
	}
	next, pause := r.policy.Decide(&m.item)
	r.then(m, next, pause)
}

// orphaned fails the messages whose tokens a worker had that is gone.
func (r *run) orphaned(worker <-chan struct{}) {
	for _, m := range r.line.claimAll(worker) {
		r.log.Warn("worker died with an event that it had not acknowledged", "id", string(m.item.Orig.ID))
		r.settled(m, event.ErrCrashed)
	}
}

// expect notes that the token of a message may be settled from now on.
func (l *line) expect(m *Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.early, m.ran, m.worker = nil, false, nil
	l.open[m.seq] = m
}

// opens counts the messages whose tokens are open.
func (l *line) opens() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

func (l *line) forget(m *Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[m.seq] == m {
		delete(l.open, m.seq)
		l.room.Broadcast()
	}
}

// returned says how the token of a message was settled before its handler
// returned; nil if it was not.
func (l *line) returned(m *Message) *error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return m.early
}

// claim finds the message of a token and gives it to the caller, as a worker
// would have it; or, if a worker has it, leaves it err.
func (l *line) claim(seq int64, is func(*Message) bool, err error) (m *Message, running bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m = l.open[seq]
	if m == nil || !is(m) {
		return nil, false
	}
	if !m.ran {
		if m.early != nil { // it was settled before
			return nil, false
		}
		m.early = &err
		return nil, true
	}
	l.claimLocked(m)
	return m, false
}

func (l *line) claimLocked(m *Message) {
	delete(l.open, m.seq)
	m.ran = false
	l.running++
	l.room.Broadcast()
}

// claimAll is claim for all open messages that worker ran.
func (l *line) claimAll(worker <-chan struct{}) (out []*Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.open {
		if m.ran && m.worker == worker {
			l.claimLocked(m)
			out = append(out, m)
		}
	}
	return out
}

// later leaves a message to whoever settles its token.
func (r *run) later(m *Message) {
	worker := m.item.Answer().Worker
	if early, open := r.line.leaveOpen(m, worker); early != nil { // settled at the last moment
		r.settled(m, *early)
	} else if open {
		r.watch.Over(worker)
	}
}

// leaveOpen takes a message from its worker, unless it was settled at the last
// moment; open is false if its session was lost meanwhile.
func (l *line) leaveOpen(m *Message, worker <-chan struct{}) (early *error, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.early != nil {
		return m.early, false
	}
	l.leave(1)
	if m.sess.gone() {
		delete(l.open, m.seq)
		l.put(m)
		return nil, false
	}
	m.ran, m.worker = true, worker
	return nil, true
}
