package replication

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// history is what a server has: transactions, each with its changes.
type history []struct {
	final, end lsn
	changes    []string
}

func pastOf(r *rand.Rand) (h history) {
	at := lsn(1 << 30)
	for n := range 1 + r.IntN(12) {
		at += lsn(1 + r.IntN(100))
		final := at
		at += lsn(1 + r.IntN(100))
		var changes []string
		for i := range r.IntN(5) {
			changes = append(changes, fmt.Sprintf("%d.%d", n, i))
		}
		h = append(h, struct {
			final, end lsn
			changes    []string
		}{final, at, changes})
	}
	return h
}

// read replays a history as a server does from a place, of which some is done and
// kept at random, until it is at its end or dies. It returns what was done, and the
// place that was kept.
func (h history) read(r *rand.Rand, from place) (done []string, kept place, told lsn) {
	p := newProgress(from)
	kept = from
	var came []string
	var numbers []int64
	steps := func() {
		if len(numbers) == 0 || r.IntN(3) > 0 {
			return
		}
		n := r.IntN(len(numbers) + 1)
		if n == 0 {
			return
		}
		next := numbers[n-1] + 1
		if n == len(numbers) && r.IntN(2) == 0 {
			next = p.through()
		}
		done = append(done, came[:n]...)
		came, numbers = came[n:], numbers[n:]
		kept = p.place(next)
		p.keep(next)
	}
	for _, tx := range h {
		if tx.final < from.lsn {
			continue
		}
		p.begin(tx.final)
		for _, c := range tx.changes {
			if off, wanted := p.row(); wanted {
				came, numbers = append(came, c), append(numbers, off)
			}
			steps()
			if r.IntN(20) == 0 {
				return done, kept, p.confirmed()
			}
		}
		p.end(tx.end)
		steps()
		if r.IntN(3) == 0 {
			p.idle(tx.end + lsn(r.IntN(2)))
		}
	}
	if len(numbers) > 0 {
		done = append(done, came...)
		kept = p.place(p.through())
		p.keep(p.through())
	}
	return done, kept, p.confirmed()
}

// TestProgress: whatever is kept when, each change is done once, in order, and the
// server is never told that it may forget one that is not done.
func TestProgress(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		h := pastOf(r)
		var want, got []string
		for _, tx := range h {
			want = append(want, tx.changes...)
		}
		at, last := place{lsn: 1}, lsn(0)
		for range 50 {
			text := at.String()
			again, err := parsePlace(at.next, text)
			if err != nil || again != at {
				t.Fatalf("seed %d: place %q is read as %+v, %v", seed, text, again, err)
			}
			again.lsn = max(again.lsn, last) // as the server does
			done, kept, told := h.read(r, again)
			got = append(got, done...)
			at, last = kept, told
			for _, tx := range h {
				if n := len(tx.changes); n > 0 && told >= tx.end && !slices.Contains(got, tx.changes[n-1]) {
					t.Fatalf("seed %d: the server may forget up to %v, and %v is not done", seed, told, tx.changes)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: done is %v, want %v", seed, got, want)
		}
	}
}

func FuzzPlace(f *testing.F) {
	f.Add("0/16B3748")
	f.Add("0/16B3748 1/0 7")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePlace(1000, text)
		if err != nil {
			return
		}
		if again, err := parsePlace(1000, p.String()); err != nil || again != p {
			t.Errorf("%q is %+v, and again %+v, %v", text, p, again, err)
		}
	})
}
