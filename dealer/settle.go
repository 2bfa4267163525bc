package dealer

import (
	"cmp"
	"slices"
)

// settle decides anew who shall have what: even by capacity, and moving as
// little as can be.
func (t *Table) settle() {
	t.unsettled = false
	why := t.cause()
	var live []*member
	for _, m := range t.order {
		if !m.leaving {
			live = append(live, m)
		}
	}
	t.shares(live)
	waiting := t.placePinned(why)
	t.putBack(why)
	for _, m := range live {
		t.giveUp(m)
	}
	t.putBack(why)
	t.place(live, why)
	t.orphans = append(t.orphans, waiting...)
	t.spread(live, why)
}

// shares sets what is due to each.
func (t *Table) shares(live []*member) {
	if len(live) == 0 {
		return
	}
	n := int64(t.free)
	all := make([]*share, len(live))
	for i, m := range live {
		pinned := int64(t.pins[m.name])
		m.share = share{name: m.name, capacity: int64(m.capacity), pinned: pinned, have: int64(len(m.wants))}
		n += pinned
		all[i] = &m.share
	}
	for _, it := range t.orphans { // those can go back to who had them
		if it.Pin == "" && it.want == nil && !it.removed {
			if m := t.had(it); m != nil {
				m.share.have++
			}
		}
	}
	deal(all, n)
}

// giveUp takes from m what is above its share: what it does not have yet
// before what it has, and the last names first.
func (t *Table) giveUp(m *member) {
	surplus := len(m.wants) - int(m.share.due)
	if surplus <= 0 {
		return
	}
	order := slices.Clone(m.wants)
	slices.SortFunc(order, func(a, b *item) int {
		return cmp.Or(compareBool(a.Pin != "", b.Pin != ""), compareBool(a.holds(m), b.holds(m)), cmp.Compare(b.Name, a.Name))
	})
	for _, it := range order[:surplus] {
		t.unwant(it)
		t.orphaned(it)
	}
}

// holds says that m works on it and is not about to let it go.
func (it *item) holds(m *member) bool { return it.holder == m && !it.recalled }

// placePinned gives those that are pinned to who must have them, and returns
// those that wait. Only what others may have stays in orphans.
func (t *Table) placePinned(why string) (waiting []*item) {
	sortItems(t.orphans)
	t.orphans = slices.DeleteFunc(t.orphans, func(it *item) bool {
		switch m := t.members[it.Pin]; {
		case it.removed || it.want != nil:
			it.orphan = false
		case it.Pin == "":
			return false
		case m == nil || m.leaving:
			waiting = append(waiting, it)
		default:
			t.give(it, m, why)
		}
		return true
	})
	return waiting
}

// putBack gives those that nobody shall have to who has them, or had them last,
// if there is room.
func (t *Table) putBack(why string) {
	sortItems(t.orphans)
	t.orphans = slices.DeleteFunc(t.orphans, func(it *item) bool {
		m := t.had(it)
		if m == nil || m.leaving || it.Apart != "" || m.room() <= 0 {
			return false
		}
		t.give(it, m, why)
		return true
	})
}

func (t *Table) give(it *item, m *member, why string) {
	it.orphan = false
	t.wantAt(it, m, why)
}

// place deals the rest: first those that shall be apart, the others in turn to
// all that have room.
func (t *Table) place(live []*member, why string) {
	if len(live) == 0 {
		return
	}
	rest := t.orphans
	t.orphans = nil
	t.placeApart(live, rest, why)
	t.inTurn(live, rest, why)
}

// had is who has it or had it last, if that one is there.
func (t *Table) had(it *item) *member {
	if it.holder != nil {
		return it.holder
	}
	return t.members[it.last]
}

func (m *member) room() int { return int(m.share.due) - len(m.wants) }

// inTurn deals items that nobody has to those that have room, one each by turns.
func (t *Table) inTurn(live []*member, items []*item, why string) {
	var open []*member
	for _, m := range live {
		if m.room() > 0 {
			open = append(open, m)
		}
	}
	at := 0
	for _, it := range items {
		if it.want != nil {
			continue
		}
		if at == len(open) {
			at = 0
			open = slices.DeleteFunc(open, func(m *member) bool { return m.room() <= 0 })
		}
		t.give(it, open[at], why)
		at++
	}
}
