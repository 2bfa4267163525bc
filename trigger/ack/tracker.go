// Package ack keeps checkpoints: it says how far a shard is done when its
// events finish out of order. It is pure; it knows no clock, log or network.
package ack

// Tracker follows the open events of one shard. It is not safe for concurrent
// use: whoever guards the shard guards the Tracker.
type Tracker struct {
	ring       []entry // a power of two long
	head, tail uint64  // head is the oldest open event
	next       int64   // all before next is done
	moved      bool    // next is known
}

type entry struct {
	offset int64
	done   bool
}

// Ticket names an open event. Tickets of events that are opened one after
// another are one apart.
type Ticket uint64

// New returns a Tracker that has room for size open events at first.
func New(size int) *Tracker {
	n := 1
	for n < size {
		n *= 2
	}
	return &Tracker{ring: make([]entry, n)}
}

// Open adds the next event of the shard; offsets must rise but may skip.
func (t *Tracker) Open(offset int64) Ticket {
	if t.tail-t.head == uint64(len(t.ring)) {
		t.grow()
	}
	t.ring[t.tail&uint64(len(t.ring)-1)] = entry{offset: offset}
	t.tail++
	return Ticket(t.tail - 1)
}

func (t *Tracker) grow() {
	bigger := make([]entry, 2*len(t.ring))
	for i := t.head; i < t.tail; i++ {
		bigger[i&uint64(len(bigger)-1)] = t.ring[i&uint64(len(t.ring)-1)]
	}
	t.ring = bigger
}

// Done closes an event; what is closed already, or was never opened, does not
// matter. It reports whether the checkpoint moved.
func (t *Tracker) Done(k Ticket) (moved bool) {
	if uint64(k) < t.head || uint64(k) >= t.tail {
		return false
	}
	m := uint64(len(t.ring) - 1)
	t.ring[uint64(k)&m].done = true
	for t.head < t.tail && t.ring[t.head&m].done {
		t.next, t.moved, moved = t.ring[t.head&m].offset+1, true, true
		t.head++
	}
	return moved
}

// Next returns the checkpoint: the offset before which all is done. It is
// false until the first event of all is done.
func (t *Tracker) Next() (int64, bool) { return t.next, t.moved }

// Oldest returns the ticket of the oldest open event; that of the next one to
// be opened if none is open.
func (t *Tracker) Oldest() Ticket { return Ticket(t.head) }

// Pending returns how many events are open or are done behind an open one.
func (t *Tracker) Pending() int { return int(t.tail - t.head) }
