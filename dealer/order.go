package dealer

import (
	"cmp"
	"slices"
)

// sortItems sorts by name. Of many it compares eight bytes behind what all names
// begin with, and whole names only where those are equal: names lie all over the
// memory.
func sortItems(items []*item) {
	if len(items) < 1024 {
		slices.SortStableFunc(items, byName)
		return
	}
	if slices.IsSortedFunc(items, byName) {
		return
	}
	type keyed struct {
		key uint64
		it  *item
	}
	skip := commonPrefix(items)
	list := make([]keyed, len(items))
	for i, it := range items {
		list[i] = keyed{eightBytes(it.Name[skip:]), it}
	}
	slices.SortFunc(list, func(a, b keyed) int {
		if a.key != b.key {
			return cmp.Compare(a.key, b.key)
		}
		return cmp.Compare(a.it.Name, b.it.Name)
	})
	for i := range list {
		items[i] = list[i].it
	}
}

// commonPrefix is how many bytes all names begin with.
func commonPrefix(items []*item) int {
	first, n := items[0].Name, len(items[0].Name)
	for _, it := range items {
		n = min(n, len(it.Name))
		for first[:n] != it.Name[:n] {
			n--
		}
	}
	return n
}

func eightBytes(s string) (k uint64) {
	for i := range 8 {
		k <<= 8
		if i < len(s) {
			k |= uint64(s[i])
		}
	}
	return k
}
