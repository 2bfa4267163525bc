package stream

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/delivery"
)

// expect notes that the token of a job may be settled from now on.
func (sh *shard) expect(j *job) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	j.early, j.ran, j.worker = nil, false, nil
	sh.open[j.item.Orig.Token.Offset] = j
}

func (sh *shard) forget(j *job) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if off := j.item.Orig.Token.Offset; sh.open[off] == j {
		delete(sh.open, off)
		sh.settled.Broadcast()
	}
}

// returned says how the token of a job was settled before its handler returned;
// nil if it was not.
func (sh *shard) returned(j *job) *error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return j.early
}

// claim takes the job of a token; or, if its handler still runs, leaves it err.
func (sh *shard) claim(tok event.Token, err error) (j *job, running bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	j = sh.open[tok.Offset]
	if j == nil || sh.fenced {
		return nil, false
	}
	if !j.ran {
		if j.early != nil { // it was settled before
			return nil, false
		}
		j.early = &err
		return nil, true
	}
	delete(sh.open, tok.Offset)
	sh.settled.Broadcast()
	return j, false
}

// claimAll takes the jobs of the open tokens that worker had.
func (sh *shard) claimAll(worker <-chan struct{}) (out []*job) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.fenced {
		return nil
	}
	for off, j := range sh.open {
		if j.ran && j.worker == worker {
			delete(sh.open, off)
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b *job) int { return cmp.Compare(a.item.Orig.Token.Offset, b.item.Orig.Token.Offset) })
	sh.settled.Broadcast()
	return out
}

// orphaned fails the records whose tokens a worker had that is gone.
func (r *run) orphaned(worker <-chan struct{}) {
	for _, sh := range r.shards.all() {
		for _, j := range sh.claimAll(worker) {
			r.log.Warn("worker died with an event that it had not acknowledged", "topic", sh.lease.Topic, "shard", sh.lease.Shard, "offset", j.item.Orig.Token.Offset)
			j.item.Err = event.ErrCrashed
			if err := sh.failLater(j); err != nil {
				r.log.Warn("event of a dead worker is left to the next owner of its shard", "error", err)
			}
		}
	}
}

// later leaves a job to whoever settles its token; the lane takes another in
// its place.
func (l *lane) later(j *job) {
	for i := range l.jobs {
		if l.jobs[i] == j {
			l.jobs[i] = &job{lane: l}
		}
	}
	worker := j.item.Answer().Worker
	l.sh.mu.Lock()
	early := j.early
	j.ran, j.worker = early == nil, worker
	l.sh.mu.Unlock()
	if early == nil {
		l.sh.run.watch.Over(worker)
		return
	}
	l.sh.forget(j) // it was settled at the last moment
	if j.item.Err = *early; *early == nil {
		_ = l.sh.completeLater(j)
	} else {
		_ = l.sh.failLater(j)
	}
}

var errHalted = errors.New("settle event: its shard is being given up")

// completeLater ends a job that is no lane's any more.
func (sh *shard) completeLater(j *job) error {
	r := sh.run
	if r.exactly {
		sh.emit(j)
	} else if r.policy.Celebrates() && !r.policy.Celebrate(sh.ctx, &j.item) {
		return errHalted
	}
	r.policy.Remember(r.base, &j.item.Orig)
	sh.finish([]ref{j.ref})
	r.counts.Done.Add(1)
	return nil
}

// failLater decides on such a job; if it is to be run again, or to stop the
// shard, its lane does.
func (sh *shard) failLater(j *job) error {
	r := sh.run
	next, pause := r.policy.Decide(&j.item)
	if next != delivery.Dead || r.policy.OnFailure == delivery.Stop {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		j.due, j.over = time.Now().Add(pause), next == delivery.Dead
		j.lane.again = append(j.lane.again, j)
		j.lane.more.Signal()
		r.counts.Retried.Add(1)
		return nil
	}
	if !r.policy.Bury(sh.ctx, &j.item) {
		return errHalted
	}
	if r.policy.OnFailure == delivery.Drop {
		r.counts.Dropped.Add(1)
	} else {
		r.counts.Dead.Add(1)
	}
	sh.finish([]ref{j.ref})
	return nil
}

// keeps reports whether a token is open.
func (sh *shard) keeps() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return len(sh.open) > 0
}

// awaitTokens waits until no token is open, or ctx is done.
func (sh *shard) awaitTokens(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		sh.settled.Broadcast()
	})
	defer stop()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for len(sh.open) > 0 && ctx.Err() == nil {
		sh.settled.Wait()
	}
}
