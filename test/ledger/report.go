package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Report is the state of a Book.
type Report struct {
	Seed       uint64
	Acked      int // events that the source has confirmed
	Arrived    int // events that arrived, each counted once
	Lines      int // arrivals of them
	Duplicates int // arrivals after the first
	Lost       Finds
	Disorder   Finds // a first arrival of a lower number than one before it
	Foreign    Finds // lines that are no event which was sent
}

// Finds counts what is wrong and keeps the first of it.
type Finds struct {
	Count int
	First []string
}

const shown = 10

func (f *Finds) add(format string, args ...any) {
	f.Count++
	if len(f.First) < shown {
		f.First = append(f.First, fmt.Sprintf(format, args...))
	}
}

func (f Finds) complain(what string) error {
	if f.Count == 0 {
		return nil
	}
	return fmt.Errorf("%d %s, first %q", f.Count, what, f.First)
}

// Report balances the books. What is confirmed and not here is lost, if nothing
// is on its way any more.
func (b *Book) Report() Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.total
	for e := range b.missing {
		r.Lost.add("k%d: %d", e.Key, e.Number)
	}
	return r
}

// Name is what an event is known by.
type Name struct{ Key, Number int }

// Lost names all that is confirmed and not here.
func (b *Book) Lost() []Name {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(b.missing)
}

// missing goes through what is confirmed and not here; mu is held.
func (b *Book) missing(yield func(Name) bool) {
	for key := range b.keys {
		page := &b.keys[key]
		for word, acked := range page.acked {
			if word < len(page.seen) && acked&^page.seen[word] == 0 {
				continue
			}
			for n := word * 64; n < word*64+64; n++ {
				if page.acked.has(n) && !page.seen.has(n) && !yield(Name{key, n}) {
					return
				}
			}
		}
	}
}

// Names is the first event in a packet that has the body of one.
func (b *Book) Names(packet []byte) (Name, bool) {
	_, rest, ok := bytes.Cut(packet, fmt.Appendf(nil, "%016x ", b.plan.Seed))
	if !ok {
		return Name{}, false
	}
	var e Name
	_, err := fmt.Sscanf(string(rest[:min(len(rest), 40)]), "%d %d", &e.Key, &e.Number)
	return e, err == nil
}

// Err is nil if nothing is lost, out of order or foreign. Duplicates are no
// error: whoever promises none looks at the count.
func (r Report) Err() error {
	err := errors.Join(r.Lost.complain("events lost"), r.Disorder.complain("events out of order"), r.Foreign.complain("lines that were not sent"))
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", Unbalanced, r, err)
	}
	return err
}

// Unbalanced begins what is said of a guarantee that was not kept. scripts/suites.sh
// knows it: such a test is not run again.
const Unbalanced = "the books do not balance"

// Unordered is Err for sources that promise no order.
func (r Report) Unordered() error {
	r.Disorder = Finds{}
	return r.Err()
}

func (r Report) String() string {
	return fmt.Sprintf("seed %d: %d confirmed, %d arrived, %d duplicates, %d lost, %d out of order, %d foreign",
		r.Seed, r.Acked, r.Arrived, r.Duplicates, r.Lost.Count, r.Disorder.Count, r.Foreign.Count)
}
