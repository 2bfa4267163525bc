package dealer

import (
	"cmp"
	"slices"
)

// Holder is a processor's side: it says what is held and keeps to what it is
// told. Its owner sends Beat at an interval and whenever something was let go,
// passes on what comes back to Answer, begins and ends work as that says, and
// reports with Released what has ended. It is not safe for concurrent use.
type Holder struct {
	who     Beat // what each beat says of the processor
	strict  bool
	seq     uint64
	seen    Mark
	told    int // leases of the answer that is seen
	held    map[string]*holding
	done    map[string]Epoch // the last that was let go
	sent    []sending        // beats that are not answered
	until   Time             // when the leases may be another's, if it is known
	known   bool
	left    bool
	clean   bool // what is held is just what was told
	changed bool // clean is to be found out anew
}

// holding is a lease that was told of, and the one before it.
type holding struct {
	epoch  Epoch
	going  bool  // it is being let go
	before Epoch // one that is still being let go; 0: none
}

type sending struct {
	seq uint64
	at  Time
}

// Orders are what is to be done about leases.
type Orders struct {
	Start []Lease // begin to work on them
	Stop  []Lease // let them go in order: finish, store the checkpoint, then say Released
}

// NewHolder returns a holder that holds nothing. who says who it is: Processor,
// Session, Capacity and Zone. A strict one lets go of all when the dealer has
// not answered in time, so that no two ever work on one resource; else it works
// on while the dealer is away, and is fenced by its epochs if that was wrong.
func NewHolder(who Beat, strict bool) *Holder {
	return &Holder{who: who, strict: strict, held: map[string]*holding{}, done: map[string]Epoch{}}
}

// Beat returns what is to be said now.
func (h *Holder) Beat(now Time) Beat {
	h.seq++
	b := h.who
	b.Seq, b.Seen = h.seq, h.seen
	if h.sent = append(h.sent, sending{h.seq, now}); len(h.sent) > 64 {
		h.sent = slices.Delete(h.sent, 0, 1)
	}
	h.tidy()
	if b.Same = h.clean && !b.Leaving; b.Same {
		return b
	}
	for name, x := range h.held {
		b.Holds = append(b.Holds, Lease{name, x.epoch})
		if x.before != 0 {
			b.Holds = append(b.Holds, Lease{name, x.before})
		}
	}
	slices.SortFunc(b.Holds, compareLeases)
	return b
}

func compareLeases(a, b Lease) int {
	return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Epoch, b.Epoch))
}

// tidy finds out whether what is held is what was told.
func (h *Holder) tidy() {
	if !h.changed {
		return
	}
	h.changed, h.clean = false, len(h.held) == h.told
	for _, x := range h.held {
		h.clean = h.clean && !x.going && x.before == 0
	}
}

// Leave begins the end: all is let go, and nothing more is taken. Left is true
// once the dealer has heard that nothing is held.
func (h *Holder) Leave() Orders {
	h.who.Leaving = true
	return h.stop(func(string, *holding) bool { return true })
}

// Left says that the dealer expects nothing more.
func (h *Holder) Left() bool { return h.left }

// Holds says how many leases are held, those that are being let go included.
func (h *Holder) Holds() int { return len(h.held) }

// stop lets go of the leases that are chosen.
func (h *Holder) stop(chosen func(name string, x *holding) bool) (o Orders) {
	for name, x := range h.held {
		if x.going || !chosen(name, x) {
			continue
		}
		h.changed, x.going = true, true
		if x.before == 0 {
			o.Stop = append(o.Stop, Lease{name, x.epoch})
			continue
		}
		h.done[name] = x.epoch // it was never begun
		x.epoch, x.before = x.before, 0
	}
	slices.SortFunc(o.Stop, compareLeases)
	return o
}

// Answer takes in what the dealer says. One that is older than another that was
// heard, or meant for another session, has no effect.
func (h *Holder) Answer(now Time, a Answer) (o Orders) {
	if a.Processor != h.who.Processor || a.Session != h.who.Session || a.Mark.Compare(h.seen) < 0 {
		return o
	}
	h.hear(a)
	if a.Left {
		h.left = h.who.Leaving && len(h.held) == 0
		return o
	}
	if h.Overdue(now) || a.Mark == h.seen && h.clean && !h.changed {
		return o
	}
	h.seen, h.told, h.changed = a.Mark, len(a.Leases), true
	listed := make(map[string]bool, len(a.Leases))
	for _, l := range a.Leases {
		listed[l.Resource] = true
	}
	o = h.stop(func(name string, _ *holding) bool { return !listed[name] })
	for _, l := range a.Leases {
		h.take(l, &o)
	}
	return o
}

// hear notes until when the leases are good: ttl after the beat was sent, less
// an eighth for clocks that differ in speed.
func (h *Holder) hear(a Answer) {
	for len(h.sent) > 0 && h.sent[0].seq <= a.Seq {
		if until := h.sent[0].at + a.TTL - a.TTL/8; !h.known || until > h.until {
			h.until = until
		}
		h.known = true
		h.sent = h.sent[1:]
	}
}

// take notes a lease that was told. Work under it begins when nobody works
// under an earlier one any more.
func (h *Holder) take(l Lease, o *Orders) {
	x := h.held[l.Resource]
	switch {
	case h.who.Leaving || l.Epoch <= h.done[l.Resource]:
		return
	case x == nil:
		h.held[l.Resource] = &holding{epoch: l.Epoch}
		o.Start = append(o.Start, l)
		return
	case l.Epoch <= x.epoch:
		return
	}
	if x.before == 0 {
		if x.before = x.epoch; !x.going {
			o.Stop = append(o.Stop, Lease{l.Resource, x.before})
		}
	}
	x.epoch, x.going = l.Epoch, false
}

// Released says that nobody works under a lease any more, because that was
// ordered, or because a checkpoint was refused. It may begin what waited for it.
func (h *Holder) Released(l Lease) (o Orders) {
	x := h.held[l.Resource]
	if x == nil {
		return o
	}
	switch l.Epoch {
	case x.before:
		x.before = 0
		o.Start = append(o.Start, Lease{l.Resource, x.epoch})
	case x.epoch:
		if x.before != 0 {
			return o // it has not begun
		}
		delete(h.held, l.Resource)
	default:
		return o
	}
	h.changed = true
	h.done[l.Resource] = max(h.done[l.Resource], l.Epoch)
	return o
}

// Overdue says that the leases may soon be another's and the holder is strict:
// Expire is to be called before anything else is done.
func (h *Holder) Overdue(now Time) bool { return h.strict && h.known && now >= h.until }

// Expire returns what has to end at once, because it is overdue: everything,
// also what is being let go in order.
func (h *Holder) Expire(now Time) (cut []Lease) {
	if !h.Overdue(now) || len(h.held) == 0 {
		return nil
	}
	h.stop(func(string, *holding) bool { return true })
	for name, x := range h.held {
		cut = append(cut, Lease{name, x.epoch})
	}
	slices.SortFunc(cut, compareLeases)
	return cut
}
