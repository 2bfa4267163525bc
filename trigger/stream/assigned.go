package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Assignment says that shards come from an [trigger.Assigner]. The sessions of
// the source are Keepers then.
type Assignment struct {
	By    trigger.Assigner
	Table string          // all triggers that name it share the shards
	Part  float64         // of what another of the table gets; 0: as much
	All   []trigger.Shard // that there are
	// Find, if it is not nil, says what All is where only the source knows. It
	// waits until there are others than known, nil at first, and is called again
	// when it has told. An error before ctx is done ends the trigger.
	Find func(ctx context.Context, known []trigger.Shard) ([]trigger.Shard, error)
}

// Keeper is implemented by sessions of logs that anybody may read from any place,
// and that keep checkpoints with the epochs of those who stored them.
type Keeper interface {
	// Claim has the store refuse checkpoints of the shard under lower epochs from
	// now on, finds the checkpoint, calls Assigned, and has Fetch bring what
	// follows. seek says to begin where Want says, and to store that. If the store
	// has seen a greater epoch it returns a [*Fenced]; after any other error the
	// session is lost. Claims of several shards may overlap.
	Claim(ctx context.Context, l Lease, seek bool) error
	// Drop has Fetch leave a shard out.
	Drop(l Lease)
}

// Fenced says that a checkpoint was refused, as a greater epoch than the
// lease's has been seen.
type Fenced struct{ Seen uint32 }

func (f *Fenced) Error() string {
	return fmt.Sprintf("the shard's checkpoint is kept under epoch %d already", f.Seen)
}

// assigned are the shards of a run that an Assigner gave, each with a goroutine
// that takes it through the sessions. It is the Hands of the Assigner.
type assigned struct {
	run *run

	mu      sync.Mutex
	all     int32           // how many there are of each topic
	held    map[Lease]*hold // by lease without Shards, of which there may be more later
	now     *session        // that is open; nil: none
	changed chan struct{}   // closed and made anew when it changes
	over    bool
	ends    sync.WaitGroup
	giving  sync.RWMutex // held for reading while a shard is let go of in an orderly way
}

// hold is a lease that the processor has.
type hold struct {
	lease  Lease
	free   func(seen uint32)
	give   chan bool     // at once?
	fenced chan struct{} // closed when a checkpoint was refused
	refuse sync.Once
	first  *session // before which it was told
	tried  chan struct{}
}

var _ trigger.Hands = (*assigned)(nil)

func newAssigned(r *run) *assigned {
	return &assigned{run: r, held: map[Lease]*hold{}, changed: make(chan struct{})}
}

// count notes how many shards there are.
func (a *assigned) count(all []trigger.Shard) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = 0
	for _, s := range all {
		a.all = max(a.all, s.N+1)
	}
}

// uncounted is a lease as held has it.
func uncounted(l Lease) Lease {
	l.Shards = 0
	return l
}

// Take implements [trigger.Hands].
func (a *assigned) Take(s trigger.Shard, epoch uint32, free func(seen uint32)) {
	h := &hold{free: free, give: make(chan bool, 2), fenced: make(chan struct{})}
	a.mu.Lock()
	h.lease = Lease{Topic: s.Topic, Shard: s.N, Epoch: epoch, Shards: a.all}
	over := a.over
	if !over {
		a.held[uncounted(h.lease)] = h
		h.first = a.now
		a.ends.Go(func() { a.keep(h) })
	}
	a.mu.Unlock()
	if over {
		free(0)
	}
}

// Give implements [trigger.Hands].
func (a *assigned) Give(s trigger.Shard, epoch uint32, atOnce bool) {
	a.mu.Lock()
	h := a.held[Lease{Topic: s.Topic, Shard: s.N, Epoch: epoch}]
	a.mu.Unlock()
	if h == nil {
		return
	}
	select {
	case h.give <- atOnce:
	default: // it was told so before
	}
}

// keep takes a lease through the sessions until it is given back.
func (a *assigned) keep(h *hold) {
	var seen uint32
	for done := false; !done; {
		q, changed, over := a.session()
		switch {
		case over:
			done = true
		case q != nil:
			done, seen = a.within(h, q)
		default:
			select {
			case <-h.give:
				done = true
			case <-changed:
			}
		}
	}
	a.mu.Lock()
	delete(a.held, uncounted(h.lease))
	a.mu.Unlock()
	h.free(seen)
}

// session is the one that is open, if one is; changed is closed when that
// changes.
func (a *assigned) session() (q *session, changed <-chan struct{}, over bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now, a.changed, a.over
}

// within has a lease in one session, until it is given back (done) or the
// session ends.
func (a *assigned) within(h *hold, q *session) (done bool, seen uint32) {
	err := q.keeper.Claim(q.ctx, h.lease, q.seek && h.first != q)
	a.wasTried(h)
	if f, ok := errors.AsType[*Fenced](err); ok {
		a.run.log.Info("shard is another's", "topic", h.lease.Topic, "shard", h.lease.Shard, "epoch", h.lease.Epoch, "seen", f.Seen)
		return true, f.Seen
	}
	if err != nil && !q.gone() {
		q.lose(fmt.Errorf("claim shard %d of %s: %w", h.lease.Shard, h.lease.Topic, err))
	}
	select {
	case atOnce := <-h.give:
		a.letGo(h, q, atOnce)
	case <-h.fenced:
	case <-q.ctx.Done():
		a.leave(q)
		return false, 0
	}
	q.keeper.Drop(h.lease)
	return true, 0
}

// letGo ends the work on a shard, in an orderly way unless it is hurried.
func (a *assigned) letGo(h *hold, q *session, atOnce bool) {
	if atOnce {
		q.Lost(h.lease)
		return
	}
	a.giving.RLock()
	defer a.giving.RUnlock()
	ctx, cancel := context.WithCancel(q.ctx)
	over := make(chan struct{})
	a.ends.Go(func() {
		select {
		case <-h.give: // what is said a second time is that it shall be at once
			q.Lost(h.lease)
			cancel()
		case <-over:
		}
	})
	q.Revoked(ctx, h.lease)
	close(over)
	cancel()
}

// wasTried notes that a lease was claimed, or could not be.
func (a *assigned) wasTried(h *hold) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h.tried != nil {
		close(h.tried)
		h.tried = nil
	}
}

// enter opens a session to the leases, and returns when all that there are by
// then have been claimed, or why the session is lost.
func (a *assigned) enter(q *session) error {
	var waits []chan struct{}
	a.mu.Lock()
	a.now = q
	for _, h := range a.held {
		h.tried = make(chan struct{})
		waits = append(waits, h.tried)
	}
	a.wake()
	a.mu.Unlock()
	for _, w := range waits {
		select {
		case <-w:
		case <-q.ctx.Done():
			return context.Cause(q.ctx)
		}
	}
	return nil
}

// leave notes that a session is over.
func (a *assigned) leave(q *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.now == q {
		a.now = nil
		a.wake()
	}
}

// wake is called with mu held.
func (a *assigned) wake() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// refused ends leases whose checkpoint was refused.
func (a *assigned) refused(ls []Lease) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range ls {
		if h := a.held[uncounted(l)]; h != nil {
			h.refuse.Do(func() { close(h.fenced) })
		}
	}
}

// settled waits for the shards that are just being let go of, so that a session
// does not end under them.
func (a *assigned) settled() {
	a.giving.Lock()
	defer a.giving.Unlock()
}

// end has all leases freed: nobody works any more.
func (a *assigned) end() {
	a.mu.Lock()
	a.over, a.now = true, nil
	a.wake()
	a.mu.Unlock()
	a.ends.Wait()
}

// assign has the Assigner tell of shards. The returned function takes all back.
func (r *run) assign(stop context.CancelCauseFunc) (end func()) {
	if r.o.Assignment == nil {
		return func() {}
	}
	as := r.o.Assignment
	r.assigned = newAssigned(r)
	ctx, cancel := context.WithCancel(r.base)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := errors.New("this processor knows no dealer; assignment all is for one that is alone")
		if as.By != nil {
			err = r.tell(ctx)
		}
		if err == nil && ctx.Err() == nil {
			err = errors.New("it ended by itself")
		}
		switch {
		case err != nil && ctx.Err() == nil:
			stop(event.Permanent(fmt.Errorf("assign shards: %w", err)))
		case err != nil:
			r.log.Warn("give shards back failed", "error", err)
		}
	}()
	return func() {
		cancel()
		r.assigned.end()
		<-done
	}
}

// enter has a session begin with the shards that were assigned, if any are.
func (r *run) enter(q *session) error {
	switch {
	case r.assigned == nil:
		return nil
	case q.keeper == nil:
		return event.Permanent(errors.New("the session keeps no checkpoints for shards that are assigned"))
	}
	return r.assigned.enter(q)
}
