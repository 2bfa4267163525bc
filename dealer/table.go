package dealer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table is the dealer's side: who is there, what there is, and who has leased
// what. It is driven by Resources, Beat and Tick, and is not safe for concurrent
// use. What it did since it was last saved is in Changes: an answer must not
// reach a processor before that is stored, because a lease that is told and
// forgotten could be given twice under one epoch.
type Table struct {
	o       Options
	term    uint64
	version uint64 // the last that any processor was told
	items   [pages]map[string]*item
	slab    []item // room for more, made at once
	count   int    // items that are not removed
	edition uint64 // of the list of resources
	listed  int    // different ones in it
	free    int    // of those, the ones without a pin
	floor   Epoch
	members map[string]*member
	order   []*member      // by name
	pins    map[string]int // resources pinned to a name
	groups  map[string]*group
	gone    map[string]grave

	round     uint64  // of Beat, for what was named in it
	orphans   []*item // wanted by nobody
	touched   []*item // whose want has changed
	moving    []*item // recalled and not released
	news      []*member
	causes    []string
	more      int // causes beyond those
	unsettled bool
	dirty     map[int]bool
	people    bool // the list of members is to be saved
	watcher   Watcher
}

// item is a resource and its lease.
type item struct {
	Resource
	page     int
	want     *member // who shall have it
	holder   *member // who has the lease
	epoch    Epoch   // of the last lease
	seen     Epoch   // that a store of checkpoints was told of
	recalled bool    // the holder is told no more of it
	removed  bool    // it is forgotten once released
	proven   bool    // the holder has said that it holds it
	since    uint64  // the holder's version in which it was told, or no more
	recall   Time    // when it was recalled
	bare     Time    // when it was last known to be worked on
	last     string  // who had it
	why      string  // why the want is what it is
	wantAt   int     // place in want.wants
	leaseAt  int     // place in holder.leases
	orphan   bool    // it is in orphans
	edition  uint64  // of the list of resources that named it last
	round    uint64  // in which its holder last named it
}

// member is a processor.
type member struct {
	name     string
	session  uint64
	seq      uint64
	seen     Mark
	heard    Time
	capacity int
	zone     string
	leaving  bool

	wants   []*item
	leases  []*item
	version uint64  // of its answer
	told    []Lease // the answer's leases as of toldAt
	toldAt  uint64
	news    bool
	share   share
}

// grave remembers who was here, for beats that come late.
type grave struct {
	session, seq uint64
	at           Time
}

// Move is a lease that was given.
type Move struct {
	At       Time
	Resource string
	From     string // who had it before; "" if nobody ever did
	To       string
	Epoch    Epoch
	Why      string
}

// Watcher is told what a table does. It must not call the table.
type Watcher interface {
	// Moved says that a lease was given.
	Moved(Move)
	// Taken says that a processor was first heard to work on what it was given,
	// and for how long nobody was known to.
	Taken(resource, by string, without Time)
}

// New returns an empty table. w may be nil.
func New(o Options, w Watcher) *Table {
	t := &Table{o: o, term: 1, members: map[string]*member{}, pins: map[string]int{}, groups: map[string]*group{}, gone: map[string]grave{}, dirty: map[int]bool{}, watcher: w}
	for i := range t.items {
		t.items[i] = map[string]*item{}
	}
	return t
}

func (t *Table) find(name string) *item { return t.items[pageOf(name)][name] }

// because notes why the next deal differs from the last.
func (t *Table) because(format string, args ...any) {
	t.unsettled = true
	if len(t.causes) == 3 {
		t.more++
		return
	}
	t.causes = append(t.causes, fmt.Sprintf(format, args...))
}

func (t *Table) cause() string {
	why := strings.Join(t.causes, ", ")
	if t.more > 0 {
		why += fmt.Sprintf(" and %d more", t.more)
	}
	t.causes, t.more = t.causes[:0], 0
	return why
}

// Resources says which resources there are now: all of them. Those that are no
// longer there are recalled and then forgotten.
func (t *Table) Resources(now Time, all []Resource) {
	t.edition++
	t.expect(len(all))
	added, removed := 0, 0
	for _, r := range all {
		if t.addItem(now, r) {
			added++
		}
	}
	if t.count > t.listed {
		for _, it := range t.sorted(func(it *item) bool { return !it.removed && it.edition != t.edition }) {
			t.removeItem(it, now)
			removed++
		}
	}
	if added > 0 {
		t.because("%d resources new or changed", added)
	}
	if removed > 0 {
		t.because("%d resources gone", removed)
	}
}

// expect makes room for n resources, if there are far fewer.
func (t *Table) expect(n int) {
	t.listed = 0
	if n < 2*t.count || n < 16*pages {
		return
	}
	t.orphans = slices.Grow(t.orphans, n)
	t.touched = slices.Grow(t.touched, n)
	for i, page := range t.items {
		t.items[i] = make(map[string]*item, n/pages+n/pages/8)
		maps.Copy(t.items[i], page)
	}
	t.slab = make([]item, 0, n-t.count)
}

func (t *Table) newItem() *item {
	if len(t.slab) == cap(t.slab) {
		return &item{}
	}
	t.slab = t.slab[:len(t.slab)+1]
	return &t.slab[len(t.slab)-1]
}

// sorted returns the items that are chosen, by name.
func (t *Table) sorted(chosen func(*item) bool) (out []*item) {
	for _, page := range t.items {
		for _, it := range page {
			if chosen(it) {
				out = append(out, it)
			}
		}
	}
	slices.SortFunc(out, byName)
	return out
}

func byName(a, b *item) int { return cmp.Compare(a.Name, b.Name) }

// addItem reports whether r is new or another than before.
func (t *Table) addItem(now Time, r Resource) bool {
	page := pageOf(r.Name)
	it := t.items[page][r.Name]
	if it != nil && it.edition == t.edition {
		return false // it is named twice
	}
	t.listed++
	if it != nil {
		it.edition = t.edition
	}
	switch {
	case it == nil:
		it = t.newItem()
		it.Resource, it.page, it.epoch, it.bare, it.edition = r, page, t.floor, now, t.edition
		t.items[page][r.Name] = it
	case it.removed: // it comes back before it was let go
		it.removed, it.Resource = false, r
	case it.Resource == r:
		return false
	default:
		t.uncount(it)
		t.unwant(it)
		it.Resource = r
	}
	t.dirty[page] = true
	t.count++
	if r.Pin == "" {
		t.free++
	} else {
		t.pins[r.Pin]++
	}
	t.intoGroup(it)
	t.orphaned(it)
	return true
}

// uncount takes it out of what is counted and grouped by its description.
func (t *Table) uncount(it *item) {
	t.count--
	if it.Pin == "" {
		t.free--
	} else if t.pins[it.Pin]--; t.pins[it.Pin] == 0 {
		delete(t.pins, it.Pin)
	}
	t.outOfGroup(it)
}

func (t *Table) removeItem(it *item, now Time) {
	t.uncount(it)
	t.unwant(it)
	it.removed = true
	t.dirty[it.page] = true
	if it.holder == nil {
		t.forget(it)
		return
	}
	t.recallItem(it, now)
}

// forget drops a removed item. One of the same name will have greater epochs.
func (t *Table) forget(it *item) {
	t.floor = max(t.floor, it.epoch)
	t.people = true
	t.dirty[it.page] = true
	delete(t.items[it.page], it.Name)
}

func (t *Table) orphaned(it *item) {
	if !it.orphan {
		it.orphan = true
		t.orphans = append(t.orphans, it)
	}
}

// unwant takes a resource from who should have it.
func (t *Table) unwant(it *item) {
	m := it.want
	if m == nil {
		return
	}
	last := m.wants[len(m.wants)-1]
	m.wants[it.wantAt], last.wantAt = last, it.wantAt
	m.wants = m.wants[:len(m.wants)-1]
	it.want = nil
	t.touched = append(t.touched, it)
}

func (t *Table) wantAt(it *item, m *member, why string) {
	it.want, it.wantAt, it.why = m, len(m.wants), why
	m.wants = append(m.wants, it)
	t.touched = append(t.touched, it)
}
