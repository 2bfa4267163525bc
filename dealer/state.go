package dealer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// pages is how many parts a table is saved in, so that a change saves little.
const pages = 256

func pageOf(name string) int {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return int(h % pages)
}

// head is the name of the page with the processors; those of resources are
// numbers.
const head = "head"

type savedHead struct {
	Floor   Epoch         `json:"floor,omitempty"`
	Members []savedMember `json:"members,omitempty"`
}

type savedMember struct {
	Name     string `json:"name"`
	Session  uint64 `json:"session"`
	Capacity int    `json:"capacity"`
	Zone     string `json:"zone,omitempty"`
	Leaving  bool   `json:"leaving,omitempty"`
}

type savedItem struct {
	Resource
	Epoch   Epoch  `json:"epoch,omitempty"`
	Holder  string `json:"holder,omitempty"`
	Last    string `json:"last,omitempty"`
	Removed bool   `json:"removed,omitempty"`
}

// Changes returns the pages that have changed since it was last called, by
// name; nil for one that is empty now. They must be stored before any answer of
// the table goes out.
func (t *Table) Changes() (map[string][]byte, error) {
	if !t.people && len(t.dirty) == 0 {
		return nil, nil
	}
	out := make(map[string][]byte, len(t.dirty)+1)
	for i := range t.dirty {
		b, err := t.encodePage(i)
		if err != nil {
			return nil, err
		}
		out[strconv.Itoa(i)] = b
	}
	if t.people {
		b, err := t.encodeHead()
		if err != nil {
			return nil, err
		}
		out[head] = b
	}
	clear(t.dirty)
	t.people = false
	return out, nil
}

func (t *Table) encodePage(i int) ([]byte, error) {
	page := t.items[i]
	if len(page) == 0 {
		return nil, nil
	}
	list := make([]savedItem, 0, len(page))
	for _, it := range page {
		s := savedItem{Resource: it.Resource, Epoch: it.epoch, Last: it.last, Removed: it.removed}
		if it.holder != nil {
			s.Holder, s.Last = it.holder.name, ""
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b savedItem) int { return cmp.Compare(a.Name, b.Name) })
	return json.Marshal(list)
}

func (t *Table) encodeHead() ([]byte, error) {
	h := savedHead{Floor: t.floor}
	for _, m := range t.order {
		h.Members = append(h.Members, savedMember{m.name, m.session, m.capacity, m.zone, m.leaving})
	}
	return json.Marshal(h)
}

// Restore makes a table of what was saved, for the dealer of a later term. All
// keep what they have; each has a whole ttl from now to say that it is there.
func Restore(o Options, w Watcher, now Time, term uint64, saved map[string][]byte) (*Table, error) {
	t := NewInTerm(o, w, term)
	if err := t.restoreHead(saved[head], now); err != nil {
		return nil, err
	}
	t.people = false
	for _, name := range slices.Sorted(maps.Keys(saved)) {
		if name == head || len(saved[name]) == 0 {
			continue
		}
		var list []savedItem
		if err := json.Unmarshal(saved[name], &list); err != nil {
			return nil, fmt.Errorf("read page %q of table: %w", name, err)
		}
		for _, s := range list {
			t.restoreItem(s, now)
		}
	}
	t.touched = t.touched[:0] // what they should have is what they have
	t.news = t.news[:0]
	for _, m := range t.order {
		m.version, m.news = 1, false
		slices.SortFunc(m.leases, byName)
		for i, it := range m.leases {
			it.leaseAt = i
		}
		slices.SortFunc(m.wants, byName)
		for i, it := range m.wants {
			it.wantAt = i
		}
	}
	t.because("a dealer began")
	return t, nil
}

// NewInTerm makes an empty table for the dealer of a term.
func NewInTerm(o Options, w Watcher, term uint64) *Table {
	t := New(o, w)
	t.term, t.version = term, 1
	return t
}

func (t *Table) restoreHead(b []byte, now Time) error {
	if len(b) == 0 {
		return nil
	}
	var h savedHead
	if err := json.Unmarshal(b, &h); err != nil {
		return fmt.Errorf("read head of table: %w", err)
	}
	t.floor = h.Floor
	for _, s := range h.Members {
		t.enter(&member{name: s.Name, session: s.Session, capacity: max(s.Capacity, 1), zone: s.Zone, leaving: s.Leaving, heard: now})
	}
	return nil
}

func (t *Table) restoreItem(s savedItem, now Time) {
	page := pageOf(s.Name)
	it := &item{Resource: s.Resource, page: page, epoch: s.Epoch, last: s.Last, removed: s.Removed, bare: now}
	t.items[page][s.Name] = it
	m := t.members[s.Holder]
	if m != nil {
		it.holder, it.leaseAt, it.since = m, len(m.leases), 1
		m.leases = append(m.leases, it)
	} else if s.Holder != "" {
		it.last = s.Holder
	}
	if it.removed {
		if m == nil {
			t.forget(it)
			return
		}
		it.recalled, it.recall = true, now
		t.moving = append(t.moving, it)
		return
	}
	t.count++
	if it.Pin == "" {
		t.free++
	} else {
		t.pins[it.Pin]++
	}
	t.intoGroup(it)
	if m != nil && !m.leaving && (it.Pin == "" || it.Pin == m.name) {
		t.wantAt(it, m, "it had it")
		return
	}
	if m != nil { // of one that leaves
		it.recalled, it.recall = true, now
		t.moving = append(t.moving, it)
	}
	t.orphaned(it)
}
