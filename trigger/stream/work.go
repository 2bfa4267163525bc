package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/delivery"
)

// wakeAtHalt wakes the lane when its shard is halted.
func (l *lane) wakeAtHalt() (stop func()) {
	after := context.AfterFunc(l.sh.ctx, func() {
		l.sh.mu.Lock()
		defer l.sh.mu.Unlock()
		l.more.Signal()
	})
	return func() {
		after()
		l.sh.mu.Lock()
		defer l.sh.mu.Unlock()
		if l.timer != nil {
			l.timer.Stop()
		}
	}
}

// work runs jobs, all that are left of them each time, until each has its fate
// or the shard is halted.
func (l *lane) work(jobs []*job) {
	r := l.sh.run
	for {
		switch {
		case r.policy.MaxAge <= 0:
		case r.policy.Sinks(): // none is passed before those in front of it
			for len(jobs) > 0 && l.tooOld(jobs[0]) {
				jobs = jobs[1:]
			}
		default:
			jobs = slices.DeleteFunc(jobs, l.tooOld)
		}
		if len(jobs) == 0 {
			return
		}
		l.items = l.items[:0]
		for _, j := range jobs {
			l.items = append(l.items, &j.item)
		}
		l.runner.Run(r.base, l.items)
		var pause time.Duration
		keep := jobs[:0]
		done := uint64(0)
		for _, j := range jobs {
			next, wait := l.outcome(j)
			if next == delivery.Done && l.complete(j) {
				done++
			} else if l.stays(j, next) {
				keep = append(keep, j)
				pause = max(pause, wait)
			}
		}
		if done > 0 {
			r.counts.Done.Add(done)
		}
		if jobs = keep; len(jobs) == 0 {
			return
		}
		l.flush()
		if !delivery.Sleep(l.sh.ctx, pause) {
			return
		}
	}
}

// tooOld gives up a job whose time is over.
func (l *lane) tooOld(j *job) bool {
	if !l.sh.run.policy.TooOld(&j.item) {
		return false
	}
	l.dead(j)
	return true
}

// outcome is what becomes of a job that ran; how its token was settled goes
// before what its handler returned.
func (l *lane) outcome(j *job) (delivery.Next, time.Duration) {
	if j.item.Held {
		j.ref.h.keepForever(l.sh)
	}
	if l.sh.open != nil {
		if early := l.sh.returned(j); early != nil {
			if j.item.Err = *early; *early == nil {
				return delivery.Done, 0
			}
		}
	}
	if errors.Is(j.item.Err, trigger.ErrMoved) { // another has loaded the position
		l.sh.q.lose(j.item.Err)
		return delivery.Leave, 0
	}
	next, pause := l.sh.run.policy.Decide(&j.item)
	if next == delivery.Done && l.sh.run.exactly {
		if err := l.sh.fits(j); err != nil {
			j.item.Err = event.Permanent(err)
			return l.sh.run.policy.Decide(&j.item)
		}
	}
	return next, pause
}

// fits says why a job's answer cannot be sent.
func (sh *shard) fits(j *job) error {
	f, ok := sh.q.session().(Fitter)
	if !ok {
		return nil
	}
	o, any := sh.answer(j)
	if !any {
		return nil
	}
	return f.Fits(&o)
}

// keepForever notes that a function may read the batch for as long as it likes.
func (h *held) keepForever(sh *shard) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	h.lent = true
}

// complete does what comes before a record counts as done; false if it could
// not be done before the shard was halted.
func (l *lane) complete(j *job) bool {
	r := l.sh.run
	if l.sh.open != nil {
		l.sh.forget(j)
	}
	if r.exactly {
		l.sh.emit(j)
	} else if r.policy.Celebrates() && !r.policy.Celebrate(l.sh.ctx, &j.item) {
		return false
	}
	r.policy.Remember(r.base, &j.item.Orig)
	l.close(j.ref)
	return true
}

// answer is a job's output, which aliases what the job was lent; any is false
// if it has none.
func (sh *shard) answer(j *job) (o Output, any bool) {
	a := j.item.Answer()
	return Output{Topic: sh.run.outTopic, Key: j.item.Orig.Key, Body: a.Body, ContentType: a.ContentType, Headers: a.Header},
		len(a.Body) > 0 || len(a.Header) > 0
}

// emit keeps the answer for the transaction that stores the checkpoint behind
// the record.
func (sh *shard) emit(j *job) {
	o, any := sh.answer(j)
	if !any {
		return
	}
	o.Key, o.Body, o.Headers = slices.Clone(o.Key), slices.Clone(o.Body), slices.Clone(o.Headers)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.outs[j.ref.ticket()] = o
}

// stays does what was decided, and reports whether the job is to be run again
// after its pause.
func (l *lane) stays(j *job, next delivery.Next) bool {
	r := l.sh.run
	switch next {
	case delivery.Later:
		l.later(j)
	case delivery.Dead:
		l.dead(j)
	case delivery.Retry:
		r.counts.Retried.Add(1)
		return true
	case delivery.Busy, delivery.Leave:
		r.counts.Again.Add(1)
		return true
	}
	return false
}

// dead gives a record up as the spec says. What cannot be given up stays open.
func (l *lane) dead(j *job) {
	r := l.sh.run
	if l.sh.open != nil {
		l.sh.forget(j)
	}
	if r.policy.OnFailure == delivery.Stop {
		l.standStill(j)
		return
	}
	if !r.policy.Bury(l.sh.ctx, &j.item) {
		return
	}
	if r.policy.OnFailure == delivery.Drop {
		r.counts.Dropped.Add(1)
	} else {
		r.counts.Dead.Add(1)
	}
	l.close(j.ref)
}

// standStill waits at a record that is not to be passed, until the shard is
// taken away: a processor that comes after tries it again.
func (l *lane) standStill(j *job) {
	l.flush()
	why := "stands still at offset " + strconv.FormatInt(j.item.Orig.Token.Offset, 10) + ": " + j.item.Err.Error()
	l.sh.stands(why)
	l.sh.run.log.Error("shard "+why, "topic", l.sh.lease.Topic, "shard", l.sh.lease.Shard, "attempts", j.item.Attempts)
	<-l.sh.ctx.Done()
}

// rerun runs a job whose token was settled as a failure.
func (l *lane) rerun(j *job) {
	if j.over {
		l.dead(j)
		return
	}
	if l.sh.open != nil {
		l.sh.expect(j)
	}
	l.active = append(l.active[:0], j)
	l.work(l.active)
}

// Settle implements [trigger.Settler]: it ends an event whose token the
// function kept. A nil err says that it is done; any other is its failure.
func (e *Engine) Settle(tok event.Token, err error) error {
	if e.policy.Explicit == "disable" {
		return fmt.Errorf("settle event: %w", trigger.ErrImplicit)
	}
	sh := e.shardOf(tok)
	if sh == nil {
		return fmt.Errorf("settle event: %w", trigger.ErrMoved)
	}
	j, running := sh.claim(tok, err)
	if running {
		return nil
	}
	if j == nil {
		return fmt.Errorf("settle event %d of shard %d: %w", tok.Offset, tok.Shard, trigger.ErrNotOpen)
	}
	j.item.Err = err
	if err != nil {
		return sh.failLater(j)
	}
	return sh.completeLater(j)
}

// SettleAt implements [trigger.PlaceSettler].
func (e *Engine) SettleAt(topic string, shard int32, offset int64, err error) error {
	if e.policy.Explicit == "disable" {
		return fmt.Errorf("settle event: %w", trigger.ErrImplicit)
	}
	e.mu.Lock()
	r := e.run
	e.mu.Unlock()
	if r == nil {
		return errors.New("settle event: the trigger does not run")
	}
	for _, sh := range r.shards.all() {
		if sh.lease.Shard == shard && (topic == "" || sh.lease.Topic == topic) {
			return e.Settle(event.Token{Shard: shard, Epoch: sh.token, Offset: offset}, err)
		}
	}
	return fmt.Errorf("settle event %d of shard %d: %w", offset, shard, trigger.ErrMoved)
}

func (e *Engine) shardOf(tok event.Token) *shard {
	e.mu.Lock()
	r := e.run
	e.mu.Unlock()
	if r == nil {
		return nil
	}
	return r.shards.ofToken(tok)
}
