package shm

import "math/bits"

// buddy gives out power-of-two blocks of an arena and keeps its books in the
// Go heap, where no worker can reach them. It is not safe for several
// goroutines at once.
type buddy struct {
	leaves int
	// free holds, for each node of a complete binary tree, one more than the
	// order of the largest free block below it; 0 if there is none.
	free []uint8
}

func newBuddy(size int64) *buddy {
	leaves := int(size / minBlock)
	b := &buddy{leaves: leaves, free: make([]uint8, 2*leaves)}
	order := bits.Len(uint(leaves))
	for i, next := 1, 2; i < len(b.free); i++ {
		if i == next {
			order--
			next *= 2
		}
		b.free[i] = uint8(order)
	}
	return b
}

// alloc returns the offset of a block of at least n bytes.
func (b *buddy) alloc(n int64) (off int64, ok bool) {
	order := orderOf(n)
	want := uint8(order + 1)
	if order > 30 || b.free[1] < want {
		return 0, false
	}
	node, at := 1, uint8(bits.Len(uint(b.leaves)))
	for ; at > want; at-- {
		node *= 2
		if b.free[node] < want {
			node++
		}
	}
	b.free[node] = 0
	off = int64(node<<order-b.leaves) * minBlock
	for node > 1 {
		node /= 2
		b.free[node] = max(b.free[2*node], b.free[2*node+1])
	}
	return off, true
}

// release gives back the block that alloc(n) returned at off.
func (b *buddy) release(off, n int64) {
	order := orderOf(n)
	node := (int(off/minBlock) + b.leaves) >> order
	full := uint8(order + 1)
	b.free[node] = full
	for node > 1 {
		node /= 2
		l, r := b.free[2*node], b.free[2*node+1]
		if l == full && r == full {
			b.free[node] = full + 1
		} else {
			b.free[node] = max(l, r)
		}
		full++
	}
}

func orderOf(n int64) int {
	if n <= minBlock {
		return 0
	}
	return bits.Len64(uint64((n - 1) / minBlock))
}
