package link

import (
	"fmt"
	"sync"
)

// Desk knows the entries that are not settled, and tells Redis of many at once:
// whoever settles one while nobody talks to Redis does so, and goes on for those
// who settle theirs in the meantime.
type Desk struct {
	ack, back func(stream int, ids []any) error

	mu      sync.Mutex
	slots   []slot
	free    []uint32
	streams []pile
	busy    bool
	err     error
}

// slot is one open entry. Its tag is its number and how often the slot was used.
type slot struct {
	stream int
	id     any
	used   uint32
	taken  bool
}

// pile is what is settled of one stream, and not told.
type pile struct{ acks, backs, spare []any }

// NewDesk makes a desk for entries of n streams or lists. ack and back tell Redis
// of some of one of them; they are called one at a time.
func NewDesk(n int, ack, back func(stream int, ids []any) error) *Desk {
	return &Desk{streams: make([]pile, n), ack: ack, back: back}
}

// Open takes an entry in and gives it a tag.
func (d *Desk) Open(stream int, id any) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.free) == 0 {
		d.slots = append(d.slots, slot{})
		d.free = append(d.free, uint32(len(d.slots)-1))
	}
	n := d.free[len(d.free)-1]
	d.free = d.free[:len(d.free)-1]
	s := &d.slots[n]
	s.stream, s.id, s.taken = stream, id, true
	s.used++
	return uint64(s.used)<<32 | uint64(n)
}

func (d *Desk) find(tag uint64) *slot {
	n := uint32(tag)
	if int(n) >= len(d.slots) {
		return nil
	}
	if s := &d.slots[n]; s.taken && s.used == uint32(tag>>32) {
		return s
	}
	return nil
}

// Look says what an open entry is.
func (d *Desk) Look(tag uint64) (stream int, id any, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.find(tag); s != nil {
		return s.stream, s.id, true
	}
	return 0, nil, false
}

// Settle notes what became of open entries, and tells Redis unless somebody does so
// already, who then tells it of these too. That Redis could not be told is the
// error of this call or of the next.
func (d *Desk) Settle(back bool, tags ...uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tag := range tags {
		if err := d.note(tag, back); err != nil {
			return err
		}
	}
	return d.tell()
}

func (d *Desk) note(tag uint64, back bool) error {
	s := d.find(tag)
	if s == nil {
		return fmt.Errorf("no entry with the tag %x is open", tag)
	}
	p := &d.streams[s.stream]
	if back {
		p.backs = append(p.backs, s.id)
	} else {
		p.acks = append(p.acks, s.id)
	}
	s.id, s.taken = nil, false
	d.free = append(d.free, uint32(tag))
	return nil
}

// tell talks to Redis until nothing is left to say, unless somebody does so
// already. It gives mu up while it talks.
func (d *Desk) tell() error {
	if d.busy {
		return d.err
	}
	d.busy = true
	for said := true; said && d.err == nil; {
		said = false
		for i := range d.streams {
			p := &d.streams[i]
			if len(p.acks) > 0 {
				said = true
				d.say(i, &p.acks, &p.spare, d.ack)
			}
			if len(p.backs) > 0 && d.err == nil {
				said = true
				d.say(i, &p.backs, &p.spare, d.back)
			}
		}
	}
	d.busy = false
	return d.err
}

func (d *Desk) say(stream int, ids, spare *[]any, how func(int, []any) error) {
	now := *ids
	*ids, *spare = (*spare)[:0], nil
	d.mu.Unlock()
	err := how(stream, now)
	d.mu.Lock()
	clear(now)
	*spare = now
	d.err = err
}
