package dealer

import (
	"cmp"
	"slices"
)

// group is the resources that shall be apart, by name.
type group struct{ items []*item }

func (t *Table) intoGroup(it *item) {
	if it.Apart == "" {
		return
	}
	g := t.groups[it.Apart]
	if g == nil {
		g = &group{}
		t.groups[it.Apart] = g
	}
	i, _ := slices.BinarySearchFunc(g.items, it, byName)
	g.items = slices.Insert(g.items, i, it)
}

func (t *Table) outOfGroup(it *item) {
	g := t.groups[it.Apart]
	if g == nil {
		return
	}
	if i, ok := slices.BinarySearchFunc(g.items, it, byName); ok {
		g.items = slices.Delete(g.items, i, i+1)
	}
	if len(g.items) == 0 {
		delete(t.groups, it.Apart)
	}
}

// zoning is how the groups lie in the zones while they are dealt.
type zoning struct {
	t      *Table
	live   []*member
	zones  int
	counts map[string]map[string]int // of a group, in each zone
}

func newZoning(t *Table, live []*member) *zoning {
	z := &zoning{t: t, live: live, counts: map[string]map[string]int{}}
	seen := map[string]bool{}
	for _, m := range live {
		seen[m.zone] = true
	}
	z.zones = len(seen)
	return z
}

// of counts the resources of a group in each zone.
func (z *zoning) of(name string) map[string]int {
	c := z.counts[name]
	if c == nil {
		c = map[string]int{}
		z.counts[name] = c
		for _, it := range z.t.groups[name].items {
			if it.want != nil {
				c[it.want.zone]++
			}
		}
	}
	return c
}

// most is how many of a group may be in one zone.
func (z *zoning) most(name string) int {
	return (len(z.t.groups[name].items) + z.zones - 1) / z.zones
}

// placeApart deals those that shall be apart to zones that have few of theirs.
func (t *Table) placeApart(live []*member, items []*item, why string) {
	if len(t.groups) == 0 {
		return
	}
	z, at := newZoning(t, live), 0
	for _, it := range items {
		if it.Apart == "" {
			continue
		}
		if m := z.best(it, &at); m != nil {
			z.of(it.Apart)[m.zone]++
			t.give(it, m, why)
		}
	}
}

// best is who has room in the zone with the fewest of the group: the holder if
// it is one of them, else the next in turn.
func (z *zoning) best(it *item, at *int) (m *member) {
	c := z.of(it.Apart)
	better := func(a *member) bool {
		if a.room() <= 0 {
			return false
		}
		return m == nil || cmp.Or(cmp.Compare(c[a.zone], c[m.zone]), compareBool(it.holds(m), it.holds(a))) < 0
	}
	for i := range z.live {
		if a := z.live[(*at+i)%len(z.live)]; better(a) {
			m = a
		}
	}
	*at = (*at + 1) % len(z.live)
	return m
}

// spread exchanges resources between processors, share for share, where too
// many of a group are in one zone.
func (t *Table) spread(live []*member, why string) {
	if len(t.groups) == 0 || len(live) == 0 {
		return
	}
	z := newZoning(t, live)
	if z.zones < 2 {
		return
	}
	names := make([]string, 0, len(t.groups))
	for name := range t.groups {
		names = append(names, name)
	}
	slices.Sort(names)
	// Each exchange leaves one conflict less, so this ends.
	for again := true; again; {
		again = false
		for _, name := range names {
			for z.exchange(name, why) {
				again = true
			}
		}
	}
}

// exchange moves one resource of a group out of a zone that has too many.
func (z *zoning) exchange(name, why string) bool {
	c, most := z.of(name), z.most(name)
	var over []*item
	for _, it := range z.t.groups[name].items {
		if it.want != nil && it.Pin == "" && c[it.want.zone] > most {
			over = append(over, it)
		}
	}
	slices.SortFunc(over, func(a, b *item) int { // what moves anyway first
		return cmp.Or(compareBool(a.holds(a.want), b.holds(b.want)), cmp.Compare(b.Name, a.Name))
	})
	for _, moving := range []bool{true, false} {
		for _, it := range over {
			if other := z.partner(it, moving); other != nil {
				z.swap(it, other, why)
				return true
			}
		}
	}
	return false
}

// partner finds what it can be exchanged for; moving: only for what moves
// anyway.
func (z *zoning) partner(it *item, moving bool) *item {
	c, most, from := z.of(it.Apart), z.most(it.Apart), it.want.zone
	var best *item
	for _, m := range z.live {
		if m.zone == from || c[m.zone] >= most {
			continue
		}
		for _, o := range m.wants {
			fits := o.Pin == "" && o.Apart != it.Apart && (!moving || !o.holds(m)) &&
				(o.Apart == "" || z.of(o.Apart)[from] < z.most(o.Apart))
			if fits && (best == nil || o.Name < best.Name) {
				best = o
			}
		}
		if best != nil {
			return best
		}
	}
	return nil
}

func (z *zoning) swap(a, b *item, why string) {
	to, from := b.want, a.want
	z.t.unwant(a)
	z.t.unwant(b)
	z.t.wantAt(a, to, why)
	z.t.wantAt(b, from, why)
	z.of(a.Apart)[from.zone]--
	z.of(a.Apart)[to.zone]++
	if b.Apart != "" {
		z.of(b.Apart)[to.zone]--
		z.of(b.Apart)[from.zone]++
	}
}
