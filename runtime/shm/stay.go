package shm

import (
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/runtime/shm/ring"
)

const (
	// stayFor is how long who answered a call waits awake for the next one, which a
	// handler that reads in a loop asks for within that time.
	stayFor = 50 * time.Microsecond
	// stayMost is after which time the reader takes over again: until then Go's
	// poller may have nobody who looks at it.
	stayMost = time.Millisecond
)

// task is a call that is to be done.
type task struct {
	cell  *cell
	entry ring.Entry
	scope *scope // nil but for calls of bindings
}

// stay lets the goroutine that did a call do the next one of the worker too. It is
// the reader while it waits awake, as a caller that spins: it holds Instance.reading and
// has taken back the flag that says which bell the processor hears. The one whose bell that is
// stays parked, and so hears of everything while a call is done.
type stay struct {
	on      atomic.Bool  // set when the worker is ready, which may have called before
	wanted  bool         // the next call is not to have a goroutine of its own; guarded by Instance.reading, as what follows
	next    task         // that call
	running atomic.Int32 // calls
	skip    atomic.Int32 // calls after which not to stay
	penalty int32        // of the next stay in vain; guarded by Instance.reading again
}

// begin has a call done. in.reading is held.
func (in *Instance) begin(t task) {
	in.tasks.Add(1) // the reader, an Invoke or another task runs this, so nobody has waited for the tasks to the end
	in.stay.running.Add(1)
	if y := &in.stay; y.wanted {
		y.wanted, y.next = false, t
		return
	}
	go in.serve(t)
}

// serve does a call, and those that follow on it. It is no caller's goroutine:
// an event whose call takes long ends at its own deadline all the same.
func (in *Instance) serve(t task) {
	for until := time.Now().Add(stayMost); ; {
		in.call(t.cell, &t.entry, t.scope)
		alone := in.stay.running.Add(-1) == 0
		next, ok := task{}, false
		if alone && in.stay.on.Load() && in.calls.ctx.Err() == nil && time.Now().Before(until) {
			next, ok = in.another(until)
		}
		in.tasks.Done()
		if !ok {
			return
		}
		t = next
	}
}

// another waits awake for the worker's next call. It does not if the reader, or
// another caller, has something to do: that one will see to it.
func (in *Instance) another(until time.Time) (t task, ok bool) {
	if in.stay.skip.Load() > 0 {
		in.stay.skip.Add(-1)
		return t, false
	}
	if !in.reading.TryLock() {
		return t, false
	}
	defer in.reading.Unlock()
	bell := in.goSleep.Swap(0)
	if bell == 0 {
		return t, false
	}
	in.stay.wanted = true
	in.follow(until)
	ok, in.stay.wanted = !in.stay.wanted, false
	t, in.stay.next = in.stay.next, task{}
	in.goSleep.Store(bell) // whoever is parked hears again, of all that comes after a last look
	if in.heard() {
		in.drain()
	}
	return t, ok
}

// follow takes what comes until it is a call, or until nothing has come for
// stayFor, or nothing is to be expected.
func (in *Instance) follow(until time.Time) {
	for end := time.Now().Add(stayFor); in.violation.Load() == nil; {
		if in.glance() {
			in.stay.penalty = 0
			in.drain()
			if !in.stay.wanted || !in.company() {
				return
			}
			end = time.Now().Add(stayFor)
		}
		now := time.Now()
		if now.After(until) {
			return
		}
		if now.After(end) {
			in.stay.penalty = min(2*in.stay.penalty+1, maxPenalty)
			in.stay.skip.Store(in.stay.penalty)
			return
		}
	}
}

// glance looks some times whether there is something to take.
func (in *Instance) glance() bool {
	for range looks {
		if in.heard() {
			return true
		}
		pause()
	}
	return false
}
