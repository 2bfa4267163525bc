package dealer

import "slices"

// grant leases a resource that nobody has to who shall have it.
func (t *Table) grant(it *item, now Time) {
	m := it.want
	it.holder, it.leaseAt, it.recalled, it.proven = m, len(m.leases), false, false
	m.leases = append(m.leases, it)
	it.epoch = max(it.epoch, it.seen) + 1
	t.turn(m)
	it.since = m.version
	t.dirty[it.page] = true
	if t.watcher != nil {
		t.watcher.Moved(Move{At: now, Resource: it.Name, From: it.last, To: m.name, Epoch: it.epoch, Why: it.why})
	}
}

// Seen says that a store of checkpoints has seen an epoch of a resource: leases
// from now on have greater ones. So a dealer whose own state was lost begins
// where the one before it was. Epochs that none can have come to are not
// believed.
func (t *Table) Seen(l Lease) {
	if it := t.find(l.Resource); it != nil && l.Epoch <= mostSeen {
		it.seen = max(it.seen, l.Epoch)
	}
}

const mostSeen = 1 << 31

// turn begins a new version of what m should hold. Versions rise over all
// processors, also those that come back after they were buried.
func (t *Table) turn(m *member) {
	t.version++
	m.version = t.version
	if !m.news {
		m.news = true
		t.news = append(t.news, m)
	}
}

// recallItem tells the holder no more of a resource. It is never taken back: a
// holder that has begun to let go need not be asked whether it had.
func (t *Table) recallItem(it *item, now Time) {
	if it.recalled {
		return
	}
	it.recalled, it.recall = true, now
	t.turn(it.holder)
	it.since = it.holder.version
	t.moving = append(t.moving, it)
}

// release ends a lease, and gives the resource to who shall have it.
func (t *Table) release(it *item, now, bare Time) {
	m := it.holder
	last := m.leases[len(m.leases)-1]
	m.leases[it.leaseAt], last.leaseAt = last, it.leaseAt
	m.leases = m.leases[:len(m.leases)-1]
	if !it.recalled {
		t.turn(m)
	}
	it.last, it.holder, it.recalled = m.name, nil, false
	if it.proven {
		it.bare = bare
	}
	t.dirty[it.page] = true
	switch {
	case it.removed:
		t.forget(it)
	case it.want != nil:
		t.grant(it, now)
	}
}

// apply makes leases follow the wants.
func (t *Table) apply(now Time) {
	sortItems(t.touched)
	for _, it := range t.touched {
		switch {
		case it.removed:
		case it.holder == nil:
			if it.want != nil {
				t.grant(it, now)
			}
		case it.holder != it.want:
			t.recallItem(it, now)
		}
	}
	clear(t.touched)
	t.touched = t.touched[:0]
}

// hurry ends the leases of holders that do not let go.
func (t *Table) hurry(now Time) {
	var slow []*item
	t.moving = slices.DeleteFunc(t.moving, func(it *item) bool {
		if it.recalled && t.o.Patience > 0 && now-it.recall >= t.o.Patience {
			slow = append(slow, it)
		}
		return !it.recalled || len(slow) > 0 && slow[len(slow)-1] == it
	})
	slices.SortFunc(slow, byName)
	for _, it := range slices.Compact(slow) {
		if it.want != nil {
			it.why += "; " + it.holder.name + " did not let go in time"
		}
		t.release(it, now, now)
	}
}
