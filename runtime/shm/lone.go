package shm

import (
	"os"
	"sync/atomic"
	"syscall"
)

// What the sleep flag of the processor says: which bell it hears.
const (
	bellFirst  = 1 // the reader's
	bellSecond = 2 // that of a caller which is alone
)

// lone lets a caller that is alone in the worker hear of its answer itself. It
// waits in Go's poller at a bell of its own, so that the worker's ring makes
// it ready, and not first the reader, which would have to wake it in turn.
// While it waits it is the reader: it completes whatever comes.
type lone struct {
	on   bool // the worker rings the bell that the flag names
	bell *os.File
	raw  syscall.RawConn
	look func(uintptr) bool // Instance.lookAlone; bound once, so that a wait allocates nothing

	holder *slot                // whose caller is the reader; guarded by Instance.reading
	waits  atomic.Pointer[slot] // whose caller is to be rung for by who completes it
}

// await waits for the outcome of s, which was published when nothing else was
// in the worker. If it cannot be the reader, because the one that there is has
// something to do, it waits for that one.
func (in *Instance) await(s *slot) outcome {
	if in.takeOver(s) && in.lone.raw.Read(in.lone.look) != nil {
		// The deadline that reap sets: the worker has ended, and the reader is
		// about to settle what is left.
		in.reading.Lock()
		in.handBack()
		in.reading.Unlock()
	}
	return <-s.done
}

// takeOver makes the caller of s the reader, if the reader is parked.
func (in *Instance) takeOver(s *slot) bool {
	if !in.reading.TryLock() {
		return false
	}
	defer in.reading.Unlock()
	if in.lone.holder != nil || !in.goSleep.CompareAndSwap(bellFirst, bellSecond) {
		return false
	}
	in.lone.holder = s
	return true
}

// lookAlone takes what is there and reports whether the holder has its outcome,
// and is the reader no more. Else it is about to park: as in read, the poller
// was reset before.
func (in *Instance) lookAlone(uintptr) bool {
	in.reading.Lock()
	defer in.reading.Unlock()
	s := in.lone.holder
	for {
		in.lone.waits.Store(nil)
		in.drain()
		if len(s.done) > 0 {
			in.handBack()
			return true
		}
		in.lone.waits.Store(s)
		in.goSleep.Store(bellSecond)
		if in.violation.Load() != nil || !in.heard() && len(s.done) == 0 {
			return false
		}
	}
}

// handBack makes the reader's goroutine, which is parked, the reader again. in.reading is held.
func (in *Instance) handBack() {
	in.lone.holder = nil
	in.lone.waits.Store(nil)
	in.goSleep.Store(bellFirst)
	if in.heard() {
		in.drain()
	}
}

// heard reports whether there is something to take.
func (in *Instance) heard() bool { return in.responses.Ready() || in.responses.Overrun() }

// rouse wakes the caller of s, which has its outcome, if it waits at the
// second bell.
func (in *Instance) rouse(s *slot) {
	if in.lone.waits.Load() == s {
		_, _ = in.lone.bell.Write(oneBytes) // only full, or closed: then nobody waits
	}
}

// oneBytes is what a ring adds to an eventfd.
var oneBytes = []byte{1, 0, 0, 0, 0, 0, 0, 0}

// TwoBells tells whether the worker can ring for a caller that is alone.
func (in *Instance) TwoBells() bool { return in.lone.on }
