package stream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger"
)

// session is a Session and what the engine knows of it. It is the Shards that
// the session calls.
type session struct {
	run        *run
	ctx        context.Context // done when it is lost or closed
	lose       context.CancelCauseFunc
	transactor Transactor // nil if it is none; so the others
	pauser     Pauser
	ender      Ender
	keeper     Keeper
	seek       bool // it begins where it was told, whatever the checkpoints

	mu  sync.Mutex // guards Session until it is set
	in  Session    // nil while it connects
	com sync.Mutex // one Commit at a time

	flow  sync.Mutex // pausing and resuming
	tight []*shard   // that have become full within a Fetch
	look  *time.Timer
}

const (
	patience  = 200 * time.Millisecond // with full shards, before they are left out
	lookAgain = 10 * time.Millisecond
)

func newSession(r *run) *session {
	q := &session{run: r, look: time.NewTimer(0)}
	q.ctx, q.lose = context.WithCancelCause(r.base)
	return q
}

func (q *session) opened(s Session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.in = s
	q.transactor, _ = s.(Transactor)
	q.pauser, _ = s.(Pauser)
	q.ender, _ = s.(Ender)
	q.keeper, _ = s.(Keeper)
}

// session returns the Session, nil while it connects.
func (q *session) session() Session {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.in
}

// gone reports whether nothing of the session may be committed any more.
func (q *session) gone() bool { return q.ctx.Err() != nil }

var errEnd = errors.New("the source ended the session")

// serve runs a session to its end: nil at a stop or a seek, else why it was
// lost.
func (r *run) serve(q *session) error {
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() { q.attend(done) })
	wg.Go(func() { q.forward(done) })
	err := r.fetch(q)
	if err == nil {
		err = q.drain()
	}
	if r.assigned != nil {
		r.assigned.settled()
	}
	if err != nil {
		q.lose(err)
	}
	close(done)
	wg.Wait()
	if err == nil {
		err = q.final()
	}
	q.lose(err)
	r.loseAll()
	r.setSession(nil)
	ctx, cancel := context.WithTimeout(r.base, closeTime)
	defer cancel()
	if e := q.in.Close(ctx); e != nil && err == nil {
		r.log.Warn("close session failed", "error", e)
	}
	return err
}

// fetch brings records to the lanes until the trigger shall stop or seek (nil),
// or the session is lost.
func (r *run) fetch(q *session) error {
	for {
		ctx, cancel, ok := r.gate.Turn(r.ctx, q.ctx)
		if !ok {
			return context.Cause(q.ctx)
		}
		err := r.fetchUntil(ctx, q)
		halted := ctx.Err() != nil
		cancel()
		switch {
		case q.gone():
			return context.Cause(q.ctx)
		case halted: // by a stop, a pause or a seek
		case err == nil:
			return errEnd
		default:
			return err
		}
	}
}

// fetchUntil fetches until ctx is done or Fetch fails.
func (r *run) fetchUntil(ctx context.Context, q *session) error {
	for {
		if err := q.in.Fetch(ctx, q.take); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if len(q.tight) > 0 && !q.slow(ctx) {
			return ctx.Err()
		}
	}
}

// slow leaves out the shards that are full, or waits until none is.
func (q *session) slow(ctx context.Context) bool {
	if !q.waitForRoom(ctx) {
		return false
	}
	if q.pauser != nil {
		q.flow.Lock()
		for _, sh := range q.tight {
			if sh.setPaused(true) {
				q.pauser.Pause(sh.lease)
			}
		}
		q.flow.Unlock()
		for _, sh := range q.tight {
			q.eased(sh) // it may have been eased meanwhile
		}
	}
	clear(q.tight)
	q.tight = q.tight[:0]
	return true
}

// waitForRoom waits until no shard is full; false at the end of ctx. If shards
// can be left out it does so for a moment only, and as long as no other shard
// has run dry: what a source has at hand of a shard that it is told to leave
// out, it may have to fetch once more.
func (q *session) waitForRoom(ctx context.Context) bool {
	for left := patience; slices.ContainsFunc(q.tight, (*shard).isFull); left -= lookAgain {
		if q.pauser != nil && (left <= 0 || q.run.shards.anyDry()) {
			return true
		}
		q.look.Reset(lookAgain)
		select {
		case <-q.run.room:
			left += lookAgain // what is left is counted in looks that waited in vain
		case <-q.look.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// eased is called when a shard has room again.
func (q *session) eased(sh *shard) {
	q.run.hasRoom()
	if q.pauser == nil {
		return
	}
	q.flow.Lock()
	defer q.flow.Unlock()
	if sh.setPaused(false) && !q.gone() {
		q.pauser.Resume(sh.lease)
	}
}

// attend stores checkpoints at an interval, and asks for the lag.
func (q *session) attend(done <-chan struct{}) {
	check, lag := time.NewTicker(q.run.every), time.NewTicker(lagEvery)
	defer check.Stop()
	defer lag.Stop()
	for fails := 0; ; {
		select {
		case <-done:
			return
		case <-q.ctx.Done():
			return
		case <-lag.C:
			q.askEnds()
		case <-check.C:
			shs := q.run.shards.all()
			for _, sh := range shs {
				sh.flush()
			}
			err := q.commit(q.ctx, shs)
			if fails++; err == nil {
				fails = 0
			} else if fails >= commitTries || q.run.exactly || errors.Is(err, trigger.ErrMoved) {
				q.lose(err)
				return
			}
		}
	}
}

// forward sends letters that a sink still has.
func (q *session) forward(done <-chan struct{}) {
	ctx, cancel := context.WithCancel(q.ctx)
	defer cancel()
	go func() {
		select {
		case <-done:
			cancel()
		case <-ctx.Done():
		}
	}()
	q.run.policy.Forward(ctx)
}

// commitTries is how often storing a checkpoint may fail before the session
// counts as lost.
const commitTries = 5

func (q *session) askEnds() {
	if q.ender == nil {
		return
	}
	shs := q.run.shards.all()
	ls := make([]Lease, len(shs))
	for i, sh := range shs {
		ls[i] = sh.lease
	}
	ctx, cancel := context.WithTimeout(q.ctx, lagEvery)
	defer cancel()
	ends, err := q.ender.Ends(ctx, ls)
	if err != nil || len(ends) != len(shs) {
		return
	}
	for i, sh := range shs {
		sh.sawEnd(ends[i])
	}
}

// drain lets what runs finish, at a stop or a seek. Checkpoints are stored
// meanwhile.
func (q *session) drain() error {
	shs := q.run.shards.all()
	if q.finish(q.ctx, shs); q.gone() {
		return context.Cause(q.ctx)
	}
	q.awaitTokens(shs)
	return nil
}

// finish halts shards and waits for their lanes, or for the end of ctx. A lane
// that is far behind the others has half of the time to close the gap.
func (q *session) finish(ctx context.Context, shs []*shard) {
	for _, sh := range shs {
		sh.halt()
	}
	half := time.NewTimer(q.run.drainTime / 2)
	defer half.Stop()
	for _, sh := range shs {
		for !closed(sh.done) && ctx.Err() == nil {
			select {
			case <-sh.done:
			case <-ctx.Done():
			case <-half.C:
				for _, sh := range shs {
					sh.cease()
				}
			}
		}
	}
}

// final stores the last checkpoint of an orderly end.
func (q *session) final() (err error) {
	for range commitTries {
		ctx, cancel := context.WithTimeout(q.ctx, closeTime)
		err = q.commit(ctx, q.run.shards.all())
		cancel()
		if err == nil || q.gone() || q.run.exactly {
			return err
		}
	}
	return err
}

// awaitTokens gives functions that kept tokens a little time to settle them.
func (q *session) awaitTokens(shs []*shard) {
	if q.run.policy.Explicit == "disable" {
		return
	}
	if d, ok := q.run.h.(trigger.Drainer); ok && slices.ContainsFunc(shs, (*shard).keeps) {
		d.Drain()
	}
	ctx, cancel := context.WithTimeout(q.ctx, q.run.laterWait)
	defer cancel()
	for _, sh := range shs {
		sh.awaitTokens(ctx)
	}
}

var _ Shards = (*session)(nil)

// From implements [Shards].
func (q *session) From(ctx context.Context, l Lease) (int64, bool, error) {
	if q.run.keep == nil {
		return 0, false, nil
	}
	return q.run.keep.Load(ctx, q.run.name, trigger.Place{Topic: l.Topic, Source: l.Source, Shard: l.Shard, Epoch: l.Epoch})
}

// Assigned implements [Shards].
func (q *session) Assigned(ls ...Lease) {
	for _, l := range ls {
		if q.run.ctx.Err() == nil && !q.gone() {
			q.run.shards.add(q, l)
		}
	}
}

// Revoked implements [Shards].
func (q *session) Revoked(ctx context.Context, ls ...Lease) {
	shs := q.run.shards.remove(ls)
	if len(shs) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, q.run.drainTime)
	defer cancel()
	defer context.AfterFunc(q.ctx, cancel)()
	q.finish(ctx, shs)
	for _, sh := range shs {
		if !closed(sh.done) && !q.gone() {
			q.run.log.Warn("shard left with events that still run", "topic", sh.lease.Topic, "shard", sh.lease.Shard)
		}
	}
	q.awaitTokens(shs)
	if !q.gone() {
		if err := q.commit(context.WithoutCancel(ctx), shs); err != nil {
			q.run.log.Warn("store checkpoint of revoked shards failed", "error", err)
		}
	}
	for _, sh := range shs {
		sh.fence()
	}
}

// Lost implements [Shards].
func (q *session) Lost(ls ...Lease) {
	for _, sh := range q.run.shards.remove(ls) {
		sh.fence()
	}
	if q.run.assigned != nil {
		q.run.assigned.refused(ls)
	}
}

// loseAll gives up all shards: they end by themselves.
func (r *run) loseAll() {
	for _, sh := range r.shards.removeAll() {
		sh.fence()
	}
}

// take implements the callback of Fetch.
func (q *session) take(b Batch) {
	sh := q.run.shards.find(b.Lease)
	if sh == nil {
		b.Records.Release()
		return
	}
	if sh.add(b) {
		q.tight = append(q.tight, sh)
	}
}

// commit stores the checkpoints of shards that have moved.
func (q *session) commit(ctx context.Context, shs []*shard) error {
	q.com.Lock()
	defer q.com.Unlock()
	s := q.session()
	if s == nil {
		return nil
	}
	var ps []trigger.Position
	var outs []Output
	var moved []*shard
	for _, sh := range shs {
		if p, out, ok := sh.checkpoint(); ok {
			ps, outs, moved = append(ps, p), append(outs, out...), append(moved, sh)
		}
	}
	if len(ps) == 0 {
		return nil
	}
	if err := q.store(ctx, s, outs, ps); err != nil {
		if !q.run.exactly {
			q.run.log.Warn("store checkpoint failed", "error", err)
		}
		return err
	}
	for i, sh := range moved {
		sh.stored(ps[i].Next)
	}
	return nil
}

func (q *session) store(ctx context.Context, s Session, outs []Output, ps []trigger.Position) error {
	if q.run.exactly {
		return q.transactor.Transact(ctx, outs, ps)
	}
	if q.run.keep != nil {
		if err := q.run.keep.Store(ctx, q.run.name, ps); err != nil {
			return err
		}
	}
	return s.Commit(ctx, ps)
}
