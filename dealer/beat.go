package dealer

import (
	"cmp"
	"slices"
)

// Beat takes in what a processor says. ok is false if it is older than what it
// said before: then it has no effect and no answer. A processor that is new gets
// its resources with the next Tick, so that of many who come at once each gets
// its share the first time.
func (t *Table) Beat(now Time, b Beat) (a Answer, ok bool) {
	m := t.members[b.Processor]
	if g, dead := t.gone[b.Processor]; m == nil && dead && !after(b, g.session, g.seq) {
		return a, false
	}
	if m != nil && !after(b, m.session, m.seq) {
		return a, false
	}
	if b.Leaving && len(b.Holds) == 0 && !b.Same && (m == nil || b.Session == m.session) {
		if m != nil {
			t.bury(m, now, now, "left")
		}
		t.gone[b.Processor] = grave{b.Session, b.Seq, now}
		return Answer{Processor: b.Processor, Session: b.Session, Seq: b.Seq, Mark: b.Seen, TTL: t.o.TTL, Left: true}, true
	}
	m = t.meet(m, b, now)
	m.seq, m.heard, m.seen = b.Seq, now, b.Seen
	t.hear(m, b, now)
	return t.answer(m), true
}

func after(b Beat, session, seq uint64) bool {
	return cmp.Or(cmp.Compare(b.Session, session), cmp.Compare(b.Seq, seq)) > 0
}

// meet takes in who m is and how it is.
func (t *Table) meet(m *member, b Beat, now Time) *member {
	if m != nil && b.Session > m.session {
		t.bury(m, now, m.heard, "began anew")
		m = nil
	}
	capacity := max(b.Capacity, 1)
	if m == nil {
		m = &member{name: b.Processor, session: b.Session, capacity: capacity, zone: b.Zone, leaving: b.Leaving}
		t.enter(m)
		delete(t.gone, b.Processor)
		t.turn(m)
		t.because("%s joined", m.name)
		return m
	}
	if b.Leaving && !m.leaving {
		m.leaving = true
		t.people = true
		t.disown(m)
		t.because("%s is leaving", m.name)
	}
	if m.capacity != capacity || m.zone != b.Zone {
		m.capacity, m.zone = capacity, b.Zone
		t.people = true
		t.because("%s changed", m.name)
	}
	return m
}

func (t *Table) enter(m *member) {
	t.members[m.name] = m
	i, _ := slices.BinarySearchFunc(t.order, m, func(a, b *member) int { return cmp.Compare(a.name, b.name) })
	t.order = slices.Insert(t.order, i, m)
	t.people = true
}

// disown takes from m all that it should have.
func (t *Table) disown(m *member) {
	for len(m.wants) > 0 {
		it := m.wants[len(m.wants)-1]
		t.unwant(it)
		t.orphaned(it)
	}
}

// bury takes m out; what it had is free.
func (t *Table) bury(m *member, now, bare Time, how string) {
	t.disown(m)
	slices.SortFunc(m.leases, byName)
	for i, it := range m.leases {
		it.leaseAt = i
	}
	for _, it := range slices.Clone(m.leases) {
		t.release(it, now, bare)
	}
	delete(t.members, m.name)
	i, _ := slices.BinarySearchFunc(t.order, m, func(a, b *member) int { return cmp.Compare(a.name, b.name) })
	t.order = slices.Delete(t.order, i, i+1)
	t.gone[m.name] = grave{m.session, m.seq, now}
	t.people = true
	t.because("%s %s", m.name, how)
}

// hear compares what m holds with what it was told. A resource that it does not
// name was let go only if m has seen the answer that told of it last: a beat
// from before says nothing about it. One that says only that m holds the same
// as the answer that it has seen names, for each resource that was last told of
// in that answer or before, what was told.
func (t *Table) hear(m *member, b Beat, now Time) {
	if b.Same {
		t.released(m, now, func(it *item) bool { return !it.recalled && (Mark{t.term, it.since}).Compare(m.seen) <= 0 })
		return
	}
	t.round++
	for _, l := range b.Holds {
		if it := t.find(l.Resource); it != nil && it.holder == m && it.epoch == l.Epoch {
			it.round = t.round
		}
	}
	t.released(m, now, func(it *item) bool { return it.round == t.round })
}

// released frees what m holds no more.
func (t *Table) released(m *member, now Time, held func(*item) bool) {
	var free []*item
	for _, it := range m.leases {
		switch {
		case held(it):
			if !it.proven && t.watcher != nil {
				t.watcher.Taken(it.Name, m.name, now-it.bare)
			}
			it.proven, it.bare = true, now
		case (Mark{t.term, it.since}).Compare(m.seen) <= 0:
			free = append(free, it)
		}
	}
	slices.SortFunc(free, byName)
	for _, it := range free {
		if !it.recalled {
			it.why = m.name + " let it go"
		}
		t.release(it, now, now)
	}
}

func (t *Table) mark(m *member) Mark { return Mark{t.term, m.version} }

// answer says what m should hold.
func (t *Table) answer(m *member) Answer {
	if m.toldAt != m.version {
		m.told = make([]Lease, 0, len(m.leases))
		for _, it := range m.leases {
			if !it.recalled {
				m.told = append(m.told, Lease{it.Name, it.epoch})
			}
		}
		slices.SortFunc(m.told, func(a, b Lease) int { return cmp.Compare(a.Resource, b.Resource) })
		m.toldAt = m.version
	}
	return Answer{Processor: m.name, Session: m.session, Seq: m.seq, Mark: t.mark(m), TTL: t.o.TTL, Leases: m.told}
}

// Tick lets time pass: who was silent for too long is buried, and what has to be
// dealt anew is.
func (t *Table) Tick(now Time) {
	t.age(now)
	if t.unsettled {
		t.settle()
		t.apply(now)
	}
}

// age buries the silent and hurries the slow.
func (t *Table) age(now Time) {
	for i := 0; i < len(t.order); {
		if m := t.order[i]; now-m.heard >= t.o.TTL {
			t.bury(m, now, m.heard, "was silent")
			continue
		}
		i++
	}
	for name, g := range t.gone {
		if now-g.at > 10*t.o.TTL {
			delete(t.gone, name)
		}
	}
	t.hurry(now)
}

// News returns the answers that have changed since they were last told, without
// a beat that asked: they may be sent ahead of the next.
func (t *Table) News() (out []Answer) {
	for _, m := range t.news {
		m.news = false
		if t.members[m.name] == m {
			out = append(out, t.answer(m))
		}
	}
	clear(t.news)
	t.news = t.news[:0]
	return out
}
