package stream

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/delivery"
)

// grab is the most records that a lane takes at once.
const grab = 64

// lane runs the records of some keys of a shard, one after another.
type lane struct {
	sh     *shard
	runner *delivery.Runner
	size   int // of a batch

	// Guarded by sh.mu:
	more  sync.Cond // queue or again grew, or time has passed
	queue []ref
	head  int
	again []*job // settled as failures after their handlers returned
	timer *time.Timer
	wake  time.Time // when timer fires
	since time.Time // of the first record that waits for others

	// The lane's own:
	refs   []ref
	jobs   []*job
	active []*job
	items  []*delivery.Item
	id     []byte // of the last record that had none of its own
	named  int64  // its offset; -1 if there was none

	count sync.Mutex // guards done; taken before sh.mu
	done  []ref      // that do not count yet: they do when all that was taken is done, or at a checkpoint

	begun atomic.Int64 // the last offset that was, -1 if none
}

// job is one record that is run.
type job struct {
	item delivery.Item
	ref  ref
	lane *lane
	id   []byte
	due  time.Time
	over bool // it is given up, and stops its shard

	// Guarded by sh.mu, if tokens may be settled:
	early  *error          // how, before the handler returned
	ran    bool            // the handler has returned, and the token is open
	worker <-chan struct{} // closed when who ran it has gone; nil if that cannot be
}

func newLane(sh *shard) *lane {
	p := sh.run.policy
	l := &lane{sh: sh, size: p.BatchSize, named: -1, runner: p.NewRunner(sh.run.h), refs: make([]ref, max(grab, p.BatchSize))}
	l.more.L = &sh.mu
	l.begun.Store(-1)
	for range l.size {
		l.jobs = append(l.jobs, &job{lane: l})
	}
	l.items = make([]*delivery.Item, 0, l.size)
	l.active = make([]*job, 0, l.size)
	return l
}

// loop runs until the shard is halted.
func (l *lane) loop() {
	if l.sh.before != nil {
		<-l.sh.before // at most as long as a function runs
	}
	stop := l.wakeAtHalt()
	defer stop()
	for {
		j, refs := l.take()
		if j == nil && refs == nil {
			break
		}
		if j != nil {
			l.rerun(j)
		}
		for len(refs) > 0 {
			n := l.allowed(refs[:min(len(refs), l.size)])
			if n == 0 {
				break
			}
			l.group(refs[:n])
			refs = refs[n:]
		}
		l.flush()
	}
	l.flush()
}

// close notes that a record has its fate. It may count, and its batch be
// released, at once.
func (l *lane) close(f ref) {
	l.count.Lock()
	l.done = append(l.done, f)
	l.count.Unlock()
}

// flush has all that is done count. It may be called by any goroutine.
func (l *lane) flush() {
	l.count.Lock()
	defer l.count.Unlock()
	l.sh.finish(l.done)
	clear(l.done)
	l.done = l.done[:0]
}

// take waits for a job that is to be run again, or for records: as many as a
// batch has, unless the window is over. It returns neither once the shard is
// halted.
func (l *lane) take() (*job, []ref) {
	l.sh.mu.Lock()
	defer l.sh.mu.Unlock()
	for {
		if l.sh.ctx.Err() != nil {
			return nil, l.rest()
		}
		if len(l.again) > 0 {
			now := time.Now()
			if j := l.again[0]; !j.due.After(now) {
				l.again = l.again[1:]
				return j, nil
			}
			l.sleepUntil(l.again[0].due, now)
		}
		if n := len(l.queue) - l.head; n >= l.size || n > 0 && l.windowOver() {
			return nil, l.cut(n)
		}
		l.more.Wait()
	}
}

// allowed notes that records are begun, and returns how many of them may be.
func (l *lane) allowed(refs []ref) int {
	sh := l.sh
	last := refs[len(refs)-1]
	off, _ := last.h.At(last.i)
	l.begun.Store(off)
	lost := sh.ctx.Err() != nil // unless it is halted
	if !sh.halted.Load() {
		if lost {
			return 0
		}
		return len(refs)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i, f := range refs {
		if off, _ := f.h.At(f.i); off > sh.stopAt {
			return i
		}
	}
	return len(refs)
}

// rest is what a halted shard still has to run in this lane; nil if there is
// nothing left.
func (l *lane) rest() []ref {
	if l.head == len(l.queue) {
		return nil
	}
	f := l.queue[l.head]
	if off, _ := f.h.At(f.i); !l.sh.halted.Load() || off > l.sh.stopAt {
		return nil
	}
	return l.cut(len(l.queue) - l.head)
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// windowOver reports whether the records that wait have waited long enough for
// others to come.
func (l *lane) windowOver() bool {
	now := time.Now()
	if l.since.IsZero() {
		l.since = now
	}
	window := l.sh.run.policy.BatchWindow
	if now.Sub(l.since) >= window {
		return true
	}
	l.sleepUntil(l.since.Add(window), now)
	return false
}

// sleepUntil wakes the lane at a time, unless it will be before.
func (l *lane) sleepUntil(at, now time.Time) {
	if l.wake.After(now) && !l.wake.After(at) {
		return
	}
	l.wake = at
	if l.timer == nil {
		l.timer = time.AfterFunc(at.Sub(now), func() {
			l.sh.mu.Lock()
			defer l.sh.mu.Unlock()
			l.wake = time.Time{}
			l.more.Signal()
		})
		return
	}
	l.timer.Reset(at.Sub(now))
}

// cut takes records from the queue: of batches only whole ones, if there is one.
func (l *lane) cut(n int) []ref {
	l.since = time.Time{}
	n = min(n, len(l.refs))
	if n > l.size {
		n -= n % l.size
	}
	copy(l.refs, l.queue[l.head:l.head+n])
	clear(l.queue[l.head : l.head+n])
	l.head += n
	if l.head == len(l.queue) {
		l.queue, l.head = l.queue[:0], 0
	} else if l.head > 4096 && l.head > len(l.queue)/2 {
		k := copy(l.queue, l.queue[l.head:])
		clear(l.queue[k:])
		l.queue, l.head = l.queue[:k], 0
	}
	return l.refs[:n]
}

// group runs the records of one call until each has its fate; those that have
// none when the shard is halted stay open.
func (l *lane) group(refs []ref) {
	l.active = l.active[:0]
	for i, f := range refs {
		if j := l.load(i, f); j != nil {
			l.active = append(l.active, j)
		}
	}
	l.work(l.active)
}

// load reads a record into job number i; nil if it is not to be run.
func (l *lane) load(i int, f ref) *job {
	j := l.jobs[i]
	j.item.Reset()
	j.ref, j.early, j.ran, j.over = f, nil, false, false
	sh, ev := l.sh, &j.item.Orig
	f.h.Read(f.i, ev)
	off, key := f.h.At(f.i)
	ev.Source, ev.Topic, ev.Shards, ev.Key = sh.run.source, sh.lease.Topic, sh.lease.Shards, key
	ev.Token = event.Token{Shard: sh.lease.Shard, Epoch: sh.token, Offset: off}
	j.item.Place = trigger.Place{Topic: sh.lease.Topic, Shard: sh.lease.Shard, Epoch: sh.lease.Epoch, Offset: off}
	if len(ev.ID) == 0 {
		j.id = append(j.id[:0], l.name(off)...)
		ev.ID = j.id
	}
	p := sh.run.policy
	if !p.Plain() && p.Skip(sh.run.base, ev) {
		sh.run.counts.Skipped.Add(1)
		l.close(f)
		return nil
	}
	if sh.open != nil {
		sh.expect(j)
	}
	return j
}

// name is the id of a record that has none of its own. Most are one after the
// last, and then the id is the last one counted up.
func (l *lane) name(off int64) []byte {
	next := l.named >= 0 && off == l.named+1 && countUp(l.id)
	if l.named = off; !next {
		l.id = strconv.AppendInt(append(l.id[:0], l.sh.prefix...), off, 10)
	}
	return l.id
}

// countUp adds one to the number that id ends with. It reports false, having
// spoilt id, if the number got longer.
func countUp(id []byte) bool {
	for i := len(id) - 1; '0' <= id[i] && id[i] <= '9'; i-- {
		if id[i]++; id[i] <= '9' {
			return true
		}
		id[i] = '0'
	}
	return false
}
