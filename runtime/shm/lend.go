package shm

import (
	"fmt"
	"unsafe"

	"github.com/myelin-run/myelin/event"
)

// lendFrom is the size of a body from which on it is lent rather than copied.
const lendFrom = 32 << 10

// owner gives a lent response back.
type owner struct {
	in *Instance
	s  *slot
}

// Release implements event.Owner.
func (o *owner) Release() {
	o.in.lent.Add(-1)
	o.in.pinned.Add(-1)
	o.in.drop(o.s)
	_ = o.in.unref() // unmapping what is mapped does not fail
}

// lend hands the body of a response out where it lies, and with it the caller's
// hold on s. At most a quarter of the slots are out at once: callers may be slow.
func (in *Instance) lend(s *slot, resp *event.Response, body []byte) bool {
	if resp.Takes&event.TakesViews == 0 || len(body) < lendFrom {
		return false
	}
	if int(in.lent.Add(1)) > in.Slots/4 {
		in.lent.Add(-1)
		return false
	}
	in.pinned.Add(1)
	in.refs.Add(1)
	resp.View, resp.Owner = body, &s.owner
	return true
}

// retain keeps s out of use until the worker releases it.
func (in *Instance) retain(s *slot, gen uint32) {
	in.keeps++
	s.retained = gen
	s.holds.Add(1)
	in.pinned.Add(1)
	in.mu.Lock()
	in.room.Broadcast() // who waits for a block need not wait for this one
	in.mu.Unlock()
}

func (in *Instance) release(s *slot, gen uint32) error {
	if s.retained != gen {
		return fmt.Errorf("slot %d is released, generation %d, and was not retained", s.index, gen)
	}
	s.retained = 0
	in.keeps--
	in.pinned.Add(-1)
	in.drop(s)
	return nil
}

// Offset says where in the mapping a view lies; of nothing, where the worker's
// arena begins.
func (in *Instance) Offset(view []byte) int64 {
	if len(view) == 0 {
		return in.workerArena
	}
	return int64(uintptr(unsafe.Pointer(&view[0])) - uintptr(unsafe.Pointer(&in.mem[0])))
}

// Size is the length of the mapping in bytes.
func (in *Instance) Size() int64 { return in.size }

// OnLoan is how many bytes are lent for bodies to come.
func (in *Instance) OnLoan() int64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.onLoan
}
