package shm

import (
	"unsafe"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm/ring"
)

const (
	// ringEvery bounds how many requests wait for a Flush: the first of many
	// would wait for the last otherwise.
	ringEvery = 16
	// besideMeta is the largest body that Begin reserves in the slot itself,
	// where the metadata is to go as well.
	besideMeta = 2 << 10
)

// Begin implements runtime.Submitter.
func (in *Instance) Begin(n int) (runtime.Place, []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.dead || len(in.free) == 0 {
		return nil, nil
	}
	s := in.popSlot()
	switch {
	case n <= 0 || int64(n) > in.Arena/4:
	case n <= besideMeta:
		end := in.slot(int(s.index)) + slotResponse
		s.reserved = in.mem[end-int64(n) : end : end]
	default:
		off, ok := in.arena.alloc(int64(n))
		for !ok && in.sweepAnswers() {
			off, ok = in.arena.alloc(int64(n))
		}
		if !ok && in.pinned.Load() == 0 { // one comes free before long
			in.free = append(in.free, s)
			return nil, nil
		}
		if ok {
			s.block, s.blockLen = off, int64(n)
			s.reserved = in.mem[in.goArena+off : in.goArena+off+int64(n) : in.goArena+off+int64(n)]
		}
	}
	return s, s.reserved
}

// Flush implements runtime.Submitter.
func (in *Instance) Flush() {
	if in.unrung.Swap(0) > 0 {
		in.bell()
	}
}

// Commit implements runtime.Place.
func (s *slot) Commit(ev *event.Event, t runtime.Terms) error {
	in := s.owner.in
	s.terms = t
	err := in.commit(s, ev)
	if err != nil {
		in.putSlot(s)
	}
	return err
}

func (in *Instance) commit(s *slot, ev *event.Event) error {
	if !s.holdsBody(ev) {
		return in.commitAnew(s, ev)
	}
	var e ring.Entry
	s.meta.Write(ev)
	room := slotResponse - slotRequest
	if s.blockLen == 0 {
		room -= len(s.reserved)
	}
	if len(s.meta.Buf) > room || int64(len(s.meta.Buf)+len(ev.Body)) > in.MaxBody {
		return in.commitAnew(s, ev)
	}
	describeEntry(s, ev, &e)
	e.MetaOff = uint64(in.slot(int(s.index)) + slotRequest)
	e.BodyOff = uint64(uintptr(unsafe.Pointer(&ev.Body[0])) - uintptr(unsafe.Pointer(&in.mem[0])))
	copy(in.mem[e.MetaOff:], s.meta.Buf)
	return in.publish(s, &e, later)
}

// holdsBody reports whether the body of ev lies where Begin said.
func (s *slot) holdsBody(ev *event.Event) bool {
	n := len(ev.Body)
	return n > 0 && n <= len(s.reserved) && &ev.Body[0] == &s.reserved[0]
}

// commitAnew submits an event whose body is not to stay where Begin said, as
// when the metadata finds no room beside it.
func (in *Instance) commitAnew(s *slot, ev *event.Event) error {
	block, n := s.block, s.blockLen
	s.blockLen = 0
	defer func() {
		if n > 0 {
			in.mu.Lock()
			in.arena.release(block, n)
			in.room.Broadcast()
			in.mu.Unlock()
		}
	}()
	return in.send(s, ev, later)
}

// Outcome implements runtime.Place.
func (s *slot) Outcome(resp *event.Response) error { return s.owner.in.outcome(s, resp) }

// Abort implements runtime.Place.
func (s *slot) Abort() { s.owner.in.putSlot(s) }
