package shm

import (
	"testing"

	"pgregory.net/rapid"
)

// The buddy against the dumb: no two live blocks overlap, all lie inside, and
// when everything is free the largest block can be had again.
func TestBuddy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := int64(minBlock) << rapid.IntRange(0, 8).Draw(t, "size")
		b := newBuddy(size)
		type block struct{ off, n int64 }
		var live []block
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(live) > 0 && rapid.Bool().Draw(t, "free") {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				b.release(live[i].off, live[i].n)
				live = append(live[:i], live[i+1:]...)
				continue
			}
			n := rapid.Int64Range(1, 2*size).Draw(t, "n")
			off, ok := b.alloc(n)
			if !ok {
				if len(live) == 0 && n <= size {
					t.Fatalf("no block of %d in an empty arena of %d", n, size)
				}
				continue
			}
			if off < 0 || off+n > size {
				t.Fatalf("block %d+%d outside an arena of %d", off, n, size)
			}
			for _, l := range live {
				if off < l.off+l.n && l.off < off+n {
					t.Fatalf("block %d+%d overlaps %d+%d", off, n, l.off, l.n)
				}
			}
			live = append(live, block{off, n})
		}
		for _, l := range live {
			b.release(l.off, l.n)
		}
		if off, ok := b.alloc(size); !ok || off != 0 {
			t.Fatalf("the arena did not come together again: %d, %v", off, ok)
		}
	})
}

func TestDepth(t *testing.T) {
	var d depth
	d.now.Store(1)
	for range 100 {
		d.observe(500)
	}
	if got := d.now.Load(); got != maxDepth {
		t.Errorf("fast handler: depth %d", got)
	}
	for range 100 {
		d.observe(50_000)
	}
	if got := d.now.Load(); got < 3 || got > 5 {
		t.Errorf("50 us handler: depth %d", got)
	}
	d.observe(1 << 63) // a lie
	if got := d.now.Load(); got != 1 {
		t.Errorf("slow handler: depth %d", got)
	}
	d.fix(7)
	d.observe(1)
	if got := d.now.Load(); got != 7 {
		t.Errorf("fixed: depth %d", got)
	}
}
