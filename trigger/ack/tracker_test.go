package ack

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// slow is the same by the dumbest means: all open offsets in a map.
type slow struct {
	open map[Ticket]int64
	all  []int64
}

// next is the offset behind the longest beginning of all that has none open.
func (s *slow) next() (next int64, ok bool) {
	open := slices.Collect(maps.Values(s.open))
	for _, off := range s.all {
		if slices.Contains(open, off) {
			break
		}
		next, ok = off+1, true
	}
	return next, ok
}

// The checkpoint is what a slow tracker says, whatever the order of the ends.
func TestTrackerAgreesWithSlowOne(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		tr, s, off := New(1+r.IntN(4)), slow{open: map[Ticket]int64{}}, int64(0)
		for range 200 {
			if r.IntN(2) == 0 || len(s.open) == 0 {
				off += 1 + r.Int64N(3)
				s.open[tr.Open(off)] = off
				s.all = append(s.all, off)
			} else {
				tickets := slices.Sorted(maps.Keys(s.open))
				k := tickets[r.IntN(len(tickets))]
				before, _ := tr.Next()
				moved := tr.Done(k)
				delete(s.open, k)
				if after, _ := tr.Next(); moved != (after != before) {
					t.Fatalf("seed %d: moved %v from %d to %d", seed, moved, before, after)
				}
				if tr.Done(k) {
					t.Fatalf("seed %d: an event was done twice", seed)
				}
			}
			got, ok := tr.Next()
			if want, any := s.next(); got != want || ok != any {
				t.Fatalf("seed %d: next %d %v, want %d %v", seed, got, ok, want, any)
			}
			if len(s.open) > 0 && tr.Oldest() != slices.Min(slices.Collect(maps.Keys(s.open))) {
				t.Fatalf("seed %d: oldest %d", seed, tr.Oldest())
			}
		}
	}
}

// Tickets that were never given change nothing.
func TestUnknownTickets(t *testing.T) {
	tr := New(2)
	if tr.Done(0) || tr.Done(7) {
		t.Error("an event that was never opened is done")
	}
	k := tr.Open(41)
	if tr.Done(k + 1) {
		t.Error("an event that was never opened is done")
	}
	if !tr.Done(k) || tr.Pending() != 0 {
		t.Error("an event that is done moved nothing")
	}
	if next, ok := tr.Next(); next != 42 || !ok {
		t.Errorf("next %d %v, want 42", next, ok)
	}
}

func BenchmarkTracker(b *testing.B) {
	tr := New(1024)
	b.ReportAllocs()
	for i := range b.N {
		tr.Done(tr.Open(int64(i)))
	}
}
