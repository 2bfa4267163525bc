package shm

import (
	"sync/atomic"
	"unsafe"

	"github.com/myelin-run/myelin/event"
)

// loan is a block of the processor's arena that a trigger reads a body into.
// It goes back when both the trigger and the slot that sent it are done.
type loan struct {
	in    *Instance
	off   int64
	n     int
	holds atomic.Int32
}

// Lend implements event.Lender. At most half of the arena is out at once: who
// fills it may be slow.
func (in *Instance) Lend(n int) event.Loan {
	size := int64(minBlock) << orderOf(int64(n))
	if n <= 0 || int64(n) > in.Arena/4 || int64(n) > in.MaxBody {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.dead || in.onLoan+size > in.Arena/2 {
		return nil
	}
	off, ok := in.arena.alloc(int64(n))
	if !ok {
		return nil
	}
	var l *loan
	if k := len(in.loans); k > 0 {
		l = in.loans[k-1]
		in.loans = in.loans[:k-1]
	} else {
		l = &loan{in: in}
	}
	l.off, l.n = off, n
	l.holds.Store(1)
	in.onLoan += size
	in.pinned.Add(1)
	in.refs.Add(1)
	return l
}

// Bytes implements event.Loan.
func (l *loan) Bytes() []byte {
	at := l.in.goArena + l.off
	return l.in.mem[at : at+int64(l.n) : at+int64(l.n)]
}

// From implements event.Loan.
func (l *loan) From() any { return l.in }

// Release implements event.Loan.
func (l *loan) Release() {
	if l.holds.Add(-1) > 0 {
		return
	}
	in := l.in
	in.mu.Lock()
	in.arena.release(l.off, int64(l.n))
	in.onLoan -= int64(minBlock) << orderOf(int64(l.n))
	in.loans = append(in.loans, l)
	in.pinned.Add(-1)
	in.room.Broadcast()
	in.mu.Unlock()
	_ = in.unref() // unmapping what is mapped does not fail
}

// borrowed reports where ev's body lies in the mapping already, and has s hold
// on to the loan.
func (in *Instance) borrowed(s *slot, ev *event.Event) (uint64, bool) {
	l, ok := ev.Loan.(*loan)
	if !ok || l.in != in || len(ev.Body) == 0 || len(s.meta.Buf) > slotResponse-slotRequest {
		return 0, false
	}
	at := uintptr(unsafe.Pointer(&ev.Body[0])) - uintptr(unsafe.Pointer(&l.Bytes()[0]))
	if at > uintptr(l.n) || uintptr(len(ev.Body)) > uintptr(l.n)-at {
		return 0, false // it was put elsewhere in the meantime
	}
	l.holds.Add(1)
	s.loan = l
	return uint64(in.goArena+l.off) + uint64(at), true
}
