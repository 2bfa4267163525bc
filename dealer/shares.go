package dealer

import (
	"cmp"
	"slices"
)

// share is what the dealing of shares has to know of a processor.
type share struct {
	name     string
	capacity int64
	pinned   int64 // resources that only it may have
	have     int64 // resources that it has now
	due      int64 // the result
	settled  bool
	rest     int64 // remainder of the division, which the extras go by
}

// deal sets what is due to each, n in all: even by capacity to less than one,
// but never less than is pinned. Of the equally even, those who have more keep
// it, so that fewest resources move.
func deal(shares []*share, n int64) {
	capacity := int64(0)
	for _, s := range shares {
		s.settled, s.rest = false, 0
		capacity += s.capacity
	}
	// Who has more pinned than is due gets that, and the others share the rest.
	for again := true; again; {
		again = false
		for _, s := range shares {
			if !s.settled && s.pinned*capacity > n*s.capacity {
				s.due, s.settled, again = s.pinned, true, true
				n -= s.pinned
				capacity -= s.capacity
			}
		}
	}
	extras := n
	var open []*share
	for _, s := range shares {
		if s.settled {
			continue
		}
		s.due, s.rest = n*s.capacity/capacity, n*s.capacity%capacity
		extras -= s.due
		if s.rest > 0 {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b *share) int {
		return cmp.Or(-compareBool(a.have > a.due, b.have > b.due), cmp.Compare(b.rest, a.rest), cmp.Compare(a.name, b.name))
	})
	for _, s := range open[:extras] {
		s.due++
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
