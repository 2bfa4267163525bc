package shm

import (
	"fmt"

	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// Recall calls back the events that wait unbegun since the last call; see
// runtime.Recaller. Their slots stay out of use until the worker has met their
// entries and passed over them, so that the ring cannot overflow.
func (in *Instance) Recall() int {
	if !in.claims {
		return 0
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.dead {
		return 0 // settle tells by the claims which events had begun: leave them
	}
	n, batches := 0, false
	for _, s := range in.slots {
		gen := s.armed.Load()
		if gen == 0 || s.era == in.era || s.terms.Stay || s.pos != s.lead || !in.takeBack(s) {
			continue
		}
		batches = batches || s.batched.Load()
		n += in.recallSlot(s, gen)
	}
	if batches {
		n += in.recallRest()
	}
	in.era++
	if n > 0 {
		in.stalled.Store(true)
	}
	return n
}

// takeBack moves the claim word of s on from queued, and reports whether it
// was.
func (in *Instance) takeBack(s *slot) bool {
	return in.requests.ClaimAt(s.pos).CompareAndSwap(ring.Claim(s.pos, ring.ClaimQueued), ring.Claim(s.pos, ring.ClaimRecalled))
}

// recallRest calls back what belongs to batches whose first event was.
func (in *Instance) recallRest() (n int) {
	for _, s := range in.slots {
		gen := s.armed.Load()
		if gen != 0 && s.batched.Load() && in.requests.ClaimAt(s.lead).Load() == ring.Claim(s.lead, ring.ClaimRecalled) {
			n += in.recallSlot(s, gen)
		}
	}
	return n
}

// recallSlot gives the event its outcome, and counts it.
func (in *Instance) recallSlot(s *slot, gen uint32) int {
	if !s.armed.CompareAndSwap(gen, 0) {
		return 0 // answered without a claim: the caller has its outcome
	}
	s.recalled = gen
	s.holds.Add(1)
	s.complete(recalled)
	return 1
}

// passedOver frees the slot of an event that was called back.
func (in *Instance) passedOver(s *slot, gen uint32) error {
	in.mu.Lock()
	known := s.recalled == gen
	if known {
		s.recalled = 0
	}
	in.mu.Unlock()
	if !known {
		return fmt.Errorf("slot %d was passed over, generation %d, which was not called back", s.index, gen)
	}
	in.drop(s)
	return nil
}
