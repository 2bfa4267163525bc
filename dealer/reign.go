package dealer

// Record is what the dealers of one store keep in it about who of them deals.
// Every write of a dealer replaces it by compare-and-swap, and so fails once
// another has taken over.
type Record struct {
	Leader string `json:"leader"`
	Term   uint64 `json:"term"` // of the leader; each has its own
	Count  uint64 `json:"count"`
}

// Reign is one dealer's part in the choice of who deals. It compares no clocks:
// a leader whose record has not changed for a ttl by the watcher's clock is
// taken for dead, and a leader that could not write for most of a ttl by its own
// deals no more.
type Reign struct {
	id    string
	ttl   Time
	rec   Record
	seen  Time // when rec was first seen
	any   bool
	mine  bool
	until Time // a leader may answer before this
}

// NewReign returns the part of the dealer id, which no other has.
func NewReign(id string, ttl Time) *Reign { return &Reign{id: id, ttl: ttl} }

// Saw notes what was read from the store: the zero Record if there is none.
func (r *Reign) Saw(now Time, rec Record) {
	if !r.any || rec != r.rec {
		r.rec, r.seen, r.any = rec, now, true
	}
	r.mine = r.mine && rec.Leader == r.id
}

// Next is the record that is to be written now: the leader's own with its next
// write, or one that takes over. ok is false while another deals.
func (r *Reign) Next(now Time) (rec Record, ok bool) {
	switch {
	case !r.any:
		return rec, false
	case r.mine:
		return Record{r.id, r.rec.Term, r.rec.Count + 1}, true
	case r.rec.Leader == "" || r.rec.Leader == r.id || now-r.seen >= r.ttl:
		return Record{r.id, r.rec.Term + 1, 0}, true
	}
	return rec, false
}

// Wrote notes that a record of Next was accepted; the writing began at began.
func (r *Reign) Wrote(began Time, rec Record) {
	r.rec, r.seen, r.mine = rec, began, true
	r.until = began + r.ttl - r.ttl/4
}

// Lost notes that a write was refused: another has written. What the dealer knew
// of the table is worth nothing any more.
func (r *Reign) Lost() { r.mine, r.any = false, false }

// Resign is the record by which a leader that ends lets the next begin at once.
func (r *Reign) Resign() (rec Record, ok bool) {
	return Record{Term: r.rec.Term, Count: r.rec.Count + 1}, r.mine
}

// Mine says that this dealer wrote last, as far as it knows.
func (r *Reign) Mine() bool { return r.mine }

// Reigns says that this dealer may answer.
func (r *Reign) Reigns(now Time) bool { return r.mine && now < r.until }

// Due says that a leader should write, even if nothing has changed.
func (r *Reign) Due(now Time) bool { return r.mine && now-r.seen >= r.ttl/4 }

// Term is that of the record which was last seen or written.
func (r *Reign) Term() uint64 { return r.rec.Term }
