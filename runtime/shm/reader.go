package shm

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"time"

	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// read takes responses until the worker is gone, then settles what is left.
// Whoever holds in.reading completes slots: this goroutine, a caller that waits
// awake, or one that is alone and waits at its own bell.
func (in *Instance) read() {
	defer in.tasks.Done()
	park := func(uintptr) bool {
		// The poller was reset before this call, so a ring from now on is an
		// edge that it sees. Hence: say that we sleep, look again, park.
		in.reading.Lock()
		defer in.reading.Unlock()
		if in.lone.holder != nil { // which sets the flag, and looks, when it ceases
			return false
		}
		in.goSleep.Store(bellFirst)
		if in.heard() {
			in.goSleep.Store(0)
			return true
		}
		return false
	}
	for {
		in.drainHeld()
		if in.company() { // those just answered may come back with more before this sleeps
			goruntime.Gosched()
			in.drainHeld()
		}
		if err := in.wakeRaw.Read(park); err != nil {
			break // the deadline that reap sets: the worker has ended
		}
	}
	in.reading.Lock()
	defer in.reading.Unlock()
	in.drain()
	in.settle()
}

func (in *Instance) drainHeld() {
	in.reading.Lock()
	defer in.reading.Unlock()
	in.drain()
}

// drain takes in every entry that is there. in.reading is held.
func (in *Instance) drain() {
	var e ring.Entry
	for in.violation.Load() == nil && in.responses.Take(&e) {
		if err := in.deliver(&e); err != nil {
			in.violate(err)
			return
		}
	}
	if in.responses.Overrun() {
		in.violate(errors.New("more responses than the ring holds"))
	}
}

// deliver gives an entry to whom it concerns; an error is a violation.
func (in *Instance) deliver(e *ring.Entry) error {
	if e.Flags&ring.FlagCall != 0 {
		return in.asked(e)
	}
	if e.Slot >= uint32(len(in.slots)) || e.Gen == 0 {
		return fmt.Errorf("entry for slot %d of %d, generation %d", e.Slot, len(in.slots), e.Gen)
	}
	s := in.slots[e.Slot]
	switch {
	case e.Flags&ring.FlagRecalled != 0:
		return in.passedOver(s, e.Gen)
	case e.Flags&ring.FlagRelease != 0:
		return in.release(s, e.Gen)
	}
	if err := in.check(e); err != nil {
		return err
	}
	if e.Flags&ring.FlagMore != 0 {
		return in.part(s, e)
	}
	return in.final(s, e)
}

// final completes a request, or the stream that answers it.
func (in *Instance) final(s *slot, e *ring.Entry) error {
	// All that may be wrong is found before the slot is taken out of flight:
	// whoever does that owes its caller an outcome.
	keep := e.Flags&ring.FlagRetain != 0
	if keep && (s.retained != 0 || in.keeps >= in.Slots/2) {
		return fmt.Errorf("slot %d is retained, with %d of %d others", s.index, in.keeps, len(in.slots))
	}
	flowing := s.flowing == e.Gen
	if !flowing && !s.armed.CompareAndSwap(e.Gen, 0) {
		return fmt.Errorf("response for slot %d, generation %d, which is not in flight", e.Slot, e.Gen)
	}
	if e.Flags&ring.FlagFD == 0 {
		in.depth.observe(e.Nanos)
	}
	if in.stalled.Load() {
		in.stalled.Store(false)
	}
	if keep {
		in.retain(s, e.Gen)
	}
	if flowing {
		s.flowing = 0
	}
	if s.scope != nil {
		in.finish(s, *e, flowing)
		return nil
	}
	return s.tell(e, flowing)
}

// tell hands the last entry of a request to whoever waits for it.
func (s *slot) tell(e *ring.Entry, flowing bool) error {
	if flowing {
		return s.pass(e)
	}
	s.resp = *e
	s.complete(answered)
	return nil
}

// check decides whether what a response says of itself may be believed.
func (in *Instance) check(e *ring.Entry) error {
	if e.Code < 100 || e.Code > 999 {
		return fmt.Errorf("response with status %d", e.Code)
	}
	if e.Flags&^(ring.FlagFD|ring.FlagError|ring.FlagRetain|ring.FlagMore) != 0 {
		return fmt.Errorf("response with flags %#x", e.Flags)
	}
	total := uint64(e.MetaLen) + uint64(e.BodyLen)
	if total > uint64(in.MaxBody)+1<<20 {
		return fmt.Errorf("response of %d bytes", total)
	}
	if e.Flags&ring.FlagFD == 0 && (!in.inside(e.MetaOff, e.MetaLen) || !in.inside(e.BodyOff, e.BodyLen)) {
		return fmt.Errorf("response outside the mapping: meta %d+%d, body %d+%d", e.MetaOff, e.MetaLen, e.BodyOff, e.BodyLen)
	}
	return nil
}

func (in *Instance) inside(off uint64, n uint32) bool {
	return off <= uint64(in.size) && uint64(n) <= uint64(in.size)-off
}

// violate remembers the first breach of the format and kills the worker.
func (in *Instance) violate(err error) {
	msg := err.Error()
	if in.violation.CompareAndSwap(nil, &msg) {
		in.log.Error("worker broke the channel's rules; it is killed", "problem", msg)
		if err := in.proc.Kill(); err != nil {
			in.log.Error("worker cannot be killed", "error", err.Error())
		}
	}
}

// settle ends the channel: no more requests, and an outcome for each slot that
// is still in flight. What the worker said it had begun, it may have run.
func (in *Instance) settle() {
	in.mu.Lock()
	in.dead = true
	in.room.Broadcast()
	in.mu.Unlock()
	begun := in.begun.Load()
	for _, s := range in.slots {
		if s.armed.Swap(0) == 0 {
			continue
		}
		if in.claims && in.requests.ClaimAt(s.lead).Load() != ring.Claim(s.lead, ring.ClaimQueued) || !in.claims && int32(begun-s.pos) > 0 {
			s.complete(crashed)
		} else {
			s.complete(notRun)
		}
	}
	in.letGo()
	in.endScopes()
	close(in.broken)
}

// letGo gives back what the worker would have: slots whose events were called
// back from it, and those that it retained. What is lent for them, by a trigger
// above all, would keep the mapping for ever.
func (in *Instance) letGo() {
	for _, s := range in.slots {
		in.mu.Lock()
		recalled := s.recalled != 0
		s.recalled = 0
		in.mu.Unlock()
		if recalled {
			in.drop(s)
		}
		if s.retained != 0 {
			_ = in.release(s, s.retained) // which is the generation
		}
	}
}

// reap waits for the process and tells the reader.
func (in *Instance) reap() {
	defer in.tasks.Done()
	<-in.proc.Done()
	switch {
	case in.proc.OutOfMemory():
		in.log.Error("worker ran out of memory and is gone", "limit", in.memory.String(), "pid", in.Pid())
	case in.opened.Load() && !in.closing.Load():
		in.log.Warn("worker process ended", "pid", in.Pid(), "state", in.proc.State().String())
	}
	_ = in.wake.SetReadDeadline(time.Unix(1, 0))
	_ = in.lone.bell.SetReadDeadline(time.Unix(1, 0))
	_ = in.control.SetReadDeadline(time.Now().Add(time.Second)) // what it said last is still read
	for _, f := range in.outputs {
		_ = f.SetReadDeadline(time.Now().Add(time.Second))
	}
}
