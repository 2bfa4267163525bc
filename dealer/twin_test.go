package dealer

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// twin is a table in the plainest way: lists that are searched, no state that
// could be found out again, and no regard for time. It knows no groups.
type twin struct {
	o         Options
	version   uint64
	floor     Epoch
	resources []*twinItem   // by name
	members   []*twinMember // by name
	graves    map[string][2]uint64
	deal      bool
}

type twinItem struct {
	Resource
	want, holder, last string
	epoch              Epoch
	recalled, removed  bool
	recall             Time
	since              uint64
}

type twinMember struct {
	name         string
	session, seq uint64
	heard        Time
	capacity     int
	leaving      bool
	version      uint64
}

func (w *twin) member(name string) *twinMember {
	for _, m := range w.members {
		if m.name == name {
			return m
		}
	}
	return nil
}

func (w *twin) live(name string) bool {
	m := w.member(name)
	return m != nil && !m.leaving
}

func (w *twin) turn(name string) uint64 {
	w.version++
	w.member(name).version = w.version
	return w.version
}

func (w *twin) setResources(now Time, all []Resource) {
	for _, r := range all {
		i := slices.IndexFunc(w.resources, func(it *twinItem) bool { return it.Name == r.Name })
		switch {
		case i < 0:
			w.resources = append(w.resources, &twinItem{Resource: r, epoch: w.floor})
			slices.SortFunc(w.resources, func(a, b *twinItem) int { return cmp.Compare(a.Name, b.Name) })
			w.deal = true
		case w.resources[i].removed || w.resources[i].Resource != r:
			it := w.resources[i]
			it.Resource, it.removed, it.want, w.deal = r, false, "", true
		}
	}
	for _, it := range slices.Clone(w.resources) {
		if !it.removed && !slices.ContainsFunc(all, func(r Resource) bool { return r.Name == it.Name }) {
			it.removed, it.want, w.deal = true, "", true
			w.follow(it, now)
		}
	}
}

// follow makes the lease of one resource what is wanted.
func (w *twin) follow(it *twinItem, now Time) {
	switch {
	case it.holder == "" && it.removed:
		w.floor = max(w.floor, it.epoch)
		w.resources = slices.DeleteFunc(w.resources, func(o *twinItem) bool { return o == it })
	case it.holder == "" && it.want != "":
		it.holder = it.want
		it.epoch++
		it.since = w.turn(it.holder)
	case it.holder != "" && it.holder != it.want && !it.recalled:
		it.recalled, it.recall = true, now
		it.since = w.turn(it.holder)
	}
}

func (w *twin) free(it *twinItem, now Time) {
	if !it.recalled {
		w.turn(it.holder)
	}
	it.last, it.holder, it.recalled = it.holder, "", false
	w.follow(it, now)
}

func (w *twin) bury(name string, now Time) {
	for _, it := range w.resources {
		if it.want == name {
			it.want = ""
		}
	}
	for _, it := range slices.Clone(w.resources) {
		if it.holder == name {
			w.free(it, now)
		}
	}
	m := w.member(name)
	w.graves[name] = [2]uint64{m.session, m.seq}
	w.members = slices.DeleteFunc(w.members, func(o *twinMember) bool { return o == m })
	w.deal = true
}

func (w *twin) beat(now Time, b Beat) bool {
	m := w.member(b.Processor)
	old := w.graves[b.Processor]
	if m != nil {
		old = [2]uint64{m.session, m.seq}
	}
	if b.Session < old[0] || b.Session == old[0] && b.Seq <= old[1] {
		return false
	}
	if b.Leaving && len(b.Holds) == 0 && !b.Same && (m == nil || m.session == b.Session) {
		if m != nil {
			w.bury(m.name, now)
		}
		w.graves[b.Processor] = [2]uint64{b.Session, b.Seq}
		return true
	}
	if m != nil && b.Session > m.session {
		w.bury(m.name, now)
		m = nil
	}
	if m == nil {
		m = &twinMember{name: b.Processor, session: b.Session, capacity: max(b.Capacity, 1), leaving: b.Leaving}
		w.members = append(w.members, m)
		slices.SortFunc(w.members, func(a, b *twinMember) int { return cmp.Compare(a.name, b.name) })
		delete(w.graves, b.Processor)
		w.turn(m.name)
		w.deal = true
	}
	if b.Leaving && !m.leaving {
		m.leaving, w.deal = true, true
		for _, it := range w.resources {
			if it.want == m.name {
				it.want = ""
			}
		}
	}
	if m.capacity != max(b.Capacity, 1) {
		m.capacity, w.deal = max(b.Capacity, 1), true
	}
	m.seq, m.heard = b.Seq, now
	for _, it := range slices.Clone(w.resources) {
		if it.holder != m.name {
			continue
		}
		held := slices.Contains(b.Holds, Lease{it.Name, it.epoch})
		if b.Same {
			held = !it.recalled
		}
		if !held && b.Seen.Term == 1 && b.Seen.Version >= it.since {
			w.free(it, now)
		}
	}
	return true
}

func (w *twin) tick(now Time) {
	for _, m := range slices.Clone(w.members) {
		if now-m.heard >= w.o.TTL {
			w.bury(m.name, now)
		}
	}
	for _, it := range slices.Clone(w.resources) {
		if it.recalled && w.o.Patience > 0 && now-it.recall >= w.o.Patience {
			w.free(it, now)
		}
	}
	if w.deal {
		w.deal = false
		w.redeal()
		for _, it := range slices.Clone(w.resources) {
			w.follow(it, now)
		}
	}
}

func (w *twin) wants(name string) (n int) {
	for _, it := range w.resources {
		if it.want == name {
			n++
		}
	}
	return n
}

// redeal gives one resource after the other, looking at all processors each time.
func (w *twin) redeal() {
	due := w.due()
	for _, it := range w.resources {
		if it.want == "" && it.Pin != "" && !it.removed && w.live(it.Pin) {
			it.want = it.Pin
		}
	}
	w.putBack(due)
	for name, n := range due {
		for w.wants(name) > n {
			w.worst(name).want = ""
		}
	}
	w.putBack(due)
	round := map[string]int{}
	turn := 0
	for _, it := range w.resources {
		if it.want != "" || it.Pin != "" || it.removed || len(due) == 0 {
			continue
		}
		for it.want == "" {
			for _, m := range w.members {
				if !m.leaving && w.wants(m.name) < due[m.name] && round[m.name] == turn && it.want == "" {
					it.want = m.name
					round[m.name]++
				}
			}
			if it.want == "" {
				turn++
				for _, m := range w.members {
					round[m.name] = turn
				}
			}
		}
	}
}

func (w *twin) putBack(due map[string]int) {
	for _, it := range w.resources {
		had := cmp.Or(it.holder, it.last)
		if it.want == "" && it.Pin == "" && !it.removed && w.live(had) && w.wants(had) < due[had] {
			it.want = had
		}
	}
}

// worst is what a processor gives up first.
func (w *twin) worst(name string) (worst *twinItem) {
	for _, it := range w.resources {
		if it.want != name || it.Pin != "" {
			continue
		}
		held := it.holder == name && !it.recalled
		if worst == nil || !held || worst.holder == name && !worst.recalled {
			worst = it
		}
	}
	return worst
}

// due tries every choice of who has one more than the others, and takes the one
// with the fewest moves; of those the one with the greatest remainders, and of
// those the first names.
func (w *twin) due() map[string]int {
	n, capacity := 0, 0
	pinned, have, due := map[string]int{}, map[string]int{}, map[string]int{}
	var open []*twinMember
	for _, m := range w.members {
		if !m.leaving {
			open = append(open, m)
			capacity += m.capacity
		}
	}
	for _, it := range w.resources {
		switch had := cmp.Or(it.want, it.holder, it.last); {
		case it.removed:
		case it.Pin != "":
			if w.live(it.Pin) {
				pinned[it.Pin]++
				n++
			}
			if it.want != "" {
				have[it.want]++
			}
		default:
			n++
			have[had]++
		}
	}
	for i := 0; i < len(open); {
		m := open[i]
		if pinned[m.name]*capacity > n*m.capacity {
			due[m.name] = pinned[m.name]
			n, capacity = n-pinned[m.name], capacity-m.capacity
			open = slices.Delete(open, i, i+1)
			i = 0
			continue
		}
		i++
	}
	if len(open) == 0 {
		return due
	}
	extras := n
	for _, m := range open {
		due[m.name] = n * m.capacity / capacity
		extras -= due[m.name]
	}
	for range extras {
		var best *twinMember
		for _, m := range open {
			rest := func(m *twinMember) int { return n * m.capacity % capacity }
			more := func(m *twinMember) bool { return have[m.name] > n*m.capacity/capacity }
			if rest(m) == 0 || due[m.name] > n*m.capacity/capacity {
				continue
			}
			if best == nil || more(m) && !more(best) || more(m) == more(best) && rest(m) > rest(best) {
				best = m
			}
		}
		due[best.name]++
	}
	return due
}

func (w *twin) String() string {
	var b strings.Builder
	for _, m := range w.members {
		fmt.Fprintf(&b, "%s/%d seq %d capacity %d leaving %v version %d\n", m.name, m.session, m.seq, m.capacity, m.leaving, m.version)
	}
	for _, it := range w.resources {
		fmt.Fprintf(&b, "%v want %q holder %q epoch %d recalled %v removed %v since %d\n", it.Resource, it.want, it.holder, it.epoch, it.recalled, it.removed, it.since)
	}
	return b.String()
}

func describeTable(t *Table) string {
	var b strings.Builder
	for _, m := range t.order {
		fmt.Fprintf(&b, "%s/%d seq %d capacity %d leaving %v version %d\n", m.name, m.session, m.seq, m.capacity, m.leaving, m.version)
	}
	name := func(m *member) string {
		if m == nil {
			return ""
		}
		return m.name
	}
	for _, it := range t.sorted(func(*item) bool { return true }) {
		fmt.Fprintf(&b, "%v want %q holder %q epoch %d recalled %v removed %v since %d\n", it.Resource, name(it.want), name(it.holder), it.epoch, it.recalled, it.removed, it.since)
	}
	return b.String()
}

// The table does what its twin does, whatever it is told.
func TestTableIsItsTwin(t *testing.T) {
	n := 500
	if testing.Short() {
		n = 100
	}
	for seed := range n {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		o := Options{TTL: 100, Patience: Time(r.IntN(2) * 150)}
		table, w := New(o, nil), &twin{o: o, graves: map[string][2]uint64{}}
		holders := map[string]*Holder{}
		now, session := Time(0), uint64(0)
		var late []Beat
		for step := range 120 {
			what := randomStep(r, &now, &session, table, w, holders, &late)
			if got, want := describeTable(table), w.String(); got != want {
				t.Fatalf("seed %d, step %d, %s\ntable:\n%s\ntwin:\n%s", seed, step, what, got, want)
			}
		}
	}
}

func randomStep(r *rand.Rand, now *Time, session *uint64, table *Table, w *twin, holders map[string]*Holder, late *[]Beat) string {
	name := fmt.Sprint("p", r.IntN(5))
	h := holders[name]
	deliver := func(b Beat) {
		a, ok := table.Beat(*now, b)
		if w.beat(*now, b) != ok {
			panic("one of them takes a beat for old")
		}
		if h != nil && r.IntN(4) > 0 && a.Processor == name {
			for _, l := range h.Answer(*now, a).Stop {
				if r.IntN(3) > 0 {
					h.Released(l)
				}
			}
		}
	}
	switch k := r.IntN(20); {
	case k == 0:
		var all []Resource
		for i := range 10 {
			if r.IntN(3) > 0 {
				all = append(all, Resource{Name: fmt.Sprint("r", i)})
				if r.IntN(8) == 0 {
					all[len(all)-1].Pin = fmt.Sprint("p", r.IntN(5))
				}
			}
		}
		table.Resources(*now, all)
		w.setResources(*now, all)
		return fmt.Sprint("resources ", all)
	case h == nil || k == 1:
		*session++
		holders[name] = NewHolder(Beat{Processor: name, Session: *session, Capacity: r.IntN(4)}, false)
		return "begin " + name
	case k == 2:
		h.Leave()
		return "leave " + name
	case k < 7:
		*now += Time(r.IntN(40))
		table.Tick(*now)
		w.tick(*now)
		return "tick"
	case k < 9 && len(*late) > 0:
		b := (*late)[r.IntN(len(*late))]
		h = holders[b.Processor]
		name = b.Processor
		deliver(b)
		return fmt.Sprintf("late %+v", b)
	default:
		b := h.Beat(*now)
		if *late = append(*late, b); r.IntN(4) > 0 {
			deliver(b)
		}
		return fmt.Sprintf("beat %+v", b)
	}
}

// Shares are even to less than one by capacity, and no deal that is as even
// moves less.
func TestDealIsEvenAndMovesLeast(t *testing.T) {
	for seed := range 1000 {
		r := rand.New(rand.NewPCG(uint64(seed), 2))
		table := New(Options{TTL: 1 << 40}, nil)
		for round := range 6 {
			var all []Resource
			for i := range r.IntN(30) {
				all = append(all, Resource{Name: fmt.Sprintf("r%02d", i)})
			}
			table.Resources(0, all)
			for range 1 + r.IntN(2) {
				name := fmt.Sprint("p", r.IntN(7))
				if m := table.members[name]; m != nil && r.IntN(2) == 0 {
					table.bury(m, 0, 0, "died")
				} else {
					table.Beat(0, Beat{Processor: name, Session: 1, Seq: uint64(round + 1), Capacity: 1 + r.IntN(3)*r.IntN(2)})
				}
			}
			least := leastMoves(table)
			base := map[string]string{}
			for _, it := range table.sorted(func(*item) bool { return true }) {
				if m := cmp.Or(it.want, table.had(it)); m != nil {
					base[it.Name] = m.name
				}
			}
			table.Tick(0)
			moves := 0
			for _, it := range table.sorted(func(it *item) bool { return it.want != nil }) {
				if base[it.Name] != it.want.name {
					moves++
				}
			}
			if moves != least && len(table.order) > 0 {
				t.Fatalf("seed %d, round %d: %d moves, %d would do\n%s", seed, round, moves, least, describeTable(table))
			}
			evenShares(t, table, seed)
		}
	}
}

func evenShares(t *testing.T, table *Table, seed int) {
	t.Helper()
	capacity := 0
	for _, m := range table.order {
		capacity += m.capacity
	}
	for _, m := range table.order {
		if d := len(m.wants)*capacity - table.count*m.capacity; d >= capacity || -d >= capacity {
			t.Fatalf("seed %d: %s has %d of %d with %d of %d", seed, m.name, len(m.wants), table.count, m.capacity, capacity)
		}
	}
}

// Those that shall be apart are, as far as a single exchange could bring it
// about, and shares stay even.
func TestApart(t *testing.T) {
	conflicts, total := 0, 0
	for seed := range 1000 {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		table := New(Options{TTL: 1 << 40}, nil)
		var all []Resource
		for i := range 1 + r.IntN(8) {
			for j := range 1 + r.IntN(4) {
				all = append(all, Resource{Name: fmt.Sprintf("r%d-%d", i, j), Apart: fmt.Sprint("g", i)})
			}
		}
		table.Resources(0, all)
		for i := range 1 + r.IntN(6) {
			table.Beat(0, Beat{Processor: fmt.Sprint("p", i), Session: 1, Seq: 1, Zone: fmt.Sprint("z", r.IntN(3))})
			if r.IntN(2) == 0 {
				table.Tick(0)
			}
		}
		table.Tick(0)
		evenShares(t, table, seed)
		z := newZoning(table, table.order)
		for name := range table.groups {
			total++
			for _, n := range z.of(name) {
				if n > z.most(name) {
					conflicts++
				}
			}
			if z.zones > 1 && z.exchange(name, "") {
				t.Fatalf("seed %d: %s could be spread better\n%s", seed, name, describeTable(table))
			}
		}
	}
	t.Logf("%d of %d groups have a zone with too many", conflicts, total)
}
