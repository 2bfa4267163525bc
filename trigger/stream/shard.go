package stream

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/ack"
)

// shard is a lease and the records under way of it.
type shard struct {
	run    *run
	q      *session
	lease  Lease
	prefix string          // of the ids of records that have none: topic and shard
	token  uint32          // in place of an epoch in tokens: no two leases of a run have the same
	ctx    context.Context // done when nothing is to be begun any more but what stopAt allows
	cancel context.CancelFunc
	before <-chan struct{} // closed when the lanes of the lease before have ended; nil if there was none
	done   chan struct{}   // closed when its own lanes have
	ends   sync.WaitGroup
	halted atomic.Bool // set under mu, with stopAt

	mu      sync.Mutex
	stopAt  int64 // once halted: the last record that may still be begun
	tracker *ack.Tracker
	lanes   []*lane
	last    int64 // the last offset that came
	first   int64 // the first one; -1 if none came
	records int   // that are not done
	bytes   int   // of batches that are not done
	paused  bool
	fenced  bool // nothing is to be committed any more
	kept    int64
	end     int64
	problem string
	outs    map[ack.Ticket]Output
	open    map[int64]*job // by offset, if tokens may be settled
	settled sync.Cond      // open changed
}

// held is a batch that is not done.
type held struct {
	Records
	bytes int
	left  int // records that are not done
	first ack.Ticket
	skip  int  // records before the first that counts
	lent  bool // a function may read it for ever: it is not released
}

// ref names one record.
type ref struct {
	h *held
	i int
}

func (f ref) ticket() ack.Ticket { return f.h.first + ack.Ticket(f.i-f.h.skip) }

func newShard(q *session, l Lease, token uint32) *shard {
	r := q.run
	sh := &shard{run: r, q: q, lease: l, token: token, prefix: fmt.Sprintf("%s-%d-", l.Topic, l.Shard), done: make(chan struct{}), tracker: ack.New(1024), last: -1, first: -1, kept: -1, stopAt: -1}
	sh.settled.L = &sh.mu
	sh.ctx, sh.cancel = context.WithCancel(q.ctx)
	if r.policy.Explicit != "disable" {
		sh.open = map[int64]*job{}
	}
	if r.exactly {
		sh.outs = map[ack.Ticket]Output{}
	}
	for range r.lanes {
		sh.lanes = append(sh.lanes, newLane(sh))
	}
	return sh
}

// start starts the lanes.
func (sh *shard) start() {
	for _, l := range sh.lanes {
		sh.ends.Add(1)
		sh.run.ends.Go(func() {
			defer sh.ends.Done()
			l.loop()
		})
	}
	sh.run.ends.Go(func() {
		sh.ends.Wait()
		sh.cancel()
		close(sh.done)
	})
}

// halt ends a lease in an orderly way: only records before the last that was
// begun are begun any more, those that other lanes have run past. So what is
// done is what is before the checkpoint, and is not done again elsewhere.
func (sh *shard) halt() {
	sh.mu.Lock()
	if !sh.halted.Load() {
		sh.halted.Store(true)
		for _, l := range sh.lanes {
			sh.stopAt = max(sh.stopAt, l.begun.Load())
		}
	}
	sh.mu.Unlock()
	sh.cancel()
}

// cease has nothing more begun at all.
func (sh *shard) cease() {
	sh.mu.Lock()
	sh.halted.Store(true)
	sh.stopAt = -1
	sh.mu.Unlock()
	sh.cancel()
}

// fence ends a lease whose checkpoint is the business of another.
func (sh *shard) fence() {
	sh.mu.Lock()
	sh.fenced = true
	sh.mu.Unlock()
	sh.cease()
}

var seed = maphash.MakeSeed()

// add takes records in. It reports whether the shard has become full.
func (sh *shard) add(b Batch) (full bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	n := b.Records.Len()
	h := &held{Records: b.Records, bytes: b.Bytes}
	for h.skip < n {
		if off, _ := b.Records.At(h.skip); off > sh.last {
			break
		}
		h.skip++ // it has come before
	}
	sh.end = max(sh.end, b.End)
	if h.left = n - h.skip; h.left == 0 {
		sh.pass(b.Through)
		b.Records.Release()
		return false
	}
	for i := h.skip; i < n; i++ {
		off, key := b.Records.At(i)
		k := sh.tracker.Open(off)
		if i == h.skip {
			h.first = k
		}
		if sh.last < 0 && sh.first < 0 {
			sh.first = off
		}
		sh.last = off
		l := sh.lanes[0]
		if len(sh.lanes) > 1 {
			l = sh.lane(key, off)
		}
		l.queue = append(l.queue, ref{h, i})
	}
	sh.pass(b.Through)
	sh.records += h.left
	sh.bytes += h.bytes
	for _, l := range sh.lanes {
		if len(l.queue) > l.head {
			l.more.Signal()
		}
	}
	return sh.full()
}

// pass has the checkpoint go on to through when all before it is done.
func (sh *shard) pass(through int64) {
	if through-1 > sh.last {
		sh.last = through - 1
		sh.tracker.Done(sh.tracker.Open(sh.last))
	}
}

// lane is that of a key; a record without one may go in any.
func (sh *shard) lane(key []byte, offset int64) *lane {
	if key == nil {
		return sh.lanes[int(uint64(offset)%uint64(len(sh.lanes)))]
	}
	return sh.lanes[int(maphash.Bytes(seed, key)%uint64(len(sh.lanes)))]
}

func (sh *shard) full() bool {
	return sh.records > sh.run.o.Records || sh.bytes > sh.run.o.Bytes
}

func (sh *shard) isFull() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.full() && !sh.fenced
}

func (sh *shard) isDry() bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.records == 0
}

// setPaused notes that the source leaves the shard out, or no longer does; it
// reports whether it is to be told. A shard that has room is not paused.
func (sh *shard) setPaused(on bool) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if on == sh.paused || on == !sh.full() {
		return false
	}
	sh.paused = on
	return true
}

// finish closes records. The batches of which it was the last are released.
func (sh *shard) finish(refs []ref) {
	if len(refs) == 0 {
		return
	}
	sh.mu.Lock()
	was := sh.full()
	for _, f := range refs {
		sh.tracker.Done(f.ticket())
		sh.records--
		if f.h.left--; f.h.left == 0 {
			sh.bytes -= f.h.bytes
			if !f.h.lent {
				f.h.Release()
			}
		}
	}
	eased, dry := (was || sh.paused) && !sh.full(), sh.records == 0
	sh.mu.Unlock()
	if eased {
		sh.q.eased(sh)
	} else if dry {
		sh.run.hasRoom()
	}
}

// checkpoint is what is to be stored, if anything moved since it last was. In
// transactions it takes the answers before it along.
func (sh *shard) checkpoint() (p trigger.Position, outs []Output, ok bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	next, any := sh.tracker.Next()
	if !any || next == sh.kept || sh.fenced {
		return p, nil, false
	}
	var tickets []ack.Ticket
	for k := range sh.outs {
		if k < sh.tracker.Oldest() {
			tickets = append(tickets, k)
		}
	}
	slices.Sort(tickets)
	for _, k := range tickets {
		outs = append(outs, sh.outs[k])
		delete(sh.outs, k)
	}
	return trigger.Position{Topic: sh.lease.Topic, Shard: sh.lease.Shard, Epoch: sh.lease.Epoch, Next: next}, outs, true
}

// flush has all that is done in the lanes count.
func (sh *shard) flush() {
	for _, l := range sh.lanes {
		l.flush()
	}
}

func (sh *shard) stored(next int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.kept = next
}

func (sh *shard) sawEnd(end int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.end = max(sh.end, end)
}

func (sh *shard) stands(why string) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.problem = why
}

func (sh *shard) report() trigger.ShardReport {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	next, any := sh.tracker.Next()
	if !any {
		next = sh.first
	}
	r := trigger.ShardReport{Topic: sh.lease.Topic, Shard: sh.lease.Shard, Next: next, Lag: -1, InFlight: sh.records, Paused: sh.paused, Problem: sh.problem}
	if sh.end > 0 && next >= 0 {
		r.Lag = max(0, sh.end-next)
	}
	return r
}
