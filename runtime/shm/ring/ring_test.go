package ring

import (
	goruntime "runtime"
	"testing"
	"unsafe"
)

// aligned returns zeroed memory as a mapping would be aligned.
func aligned(n int) []byte {
	b := make([]byte, n+EntrySize)
	for i := range EntrySize {
		if word0(b[i:])%EntrySize == 0 {
			return b[i : i+n]
		}
	}
	panic("unreachable")
}

// A producer and a consumer on two goroutines; the consumer frees entries by a
// count that only the test shares, as slots do in a channel.
func TestRingTwoSides(t *testing.T) {
	const entries, total = 8, 50_000
	mem := aligned(entries * EntrySize)
	freed := make(chan struct{}, entries)
	for range entries {
		freed <- struct{}{}
	}
	go func() {
		r := New(mem, entries)
		for i := range uint32(total) {
			<-freed
			r.Put(&Entry{Code: uint16(i), Slot: i, Gen: ^i, MetaOff: uint64(i) << 7, BodyOff: uint64(i) << 9, MetaLen: i * 3, BodyLen: i * 5, Nanos: uint64(i) * 11})
		}
	}()
	r := New(mem, entries)
	var e Entry
	for i := range uint32(total) {
		for !r.Take(&e) {
			goruntime.Gosched()
		}
		want := Entry{Code: uint16(i), Slot: i, Gen: ^i, MetaOff: uint64(i) << 7, BodyOff: uint64(i) << 9, MetaLen: i * 3, BodyLen: i * 5, Nanos: uint64(i) * 11}
		if e != want {
			t.Fatalf("entry %d: %+v", i, e)
		}
		freed <- struct{}{}
	}
	if r.Take(&e) {
		t.Error("an entry nobody put")
	}
}

// The positions wrap around 32 bits. The ring has been round once before, as
// it has by then: only untouched memory holds the sequence 0.
func TestRingWraps(t *testing.T) {
	mem := aligned(4 * EntrySize)
	p, c := New(mem, 4), New(mem, 4)
	p.Pos, c.Pos = 1<<32-8, 1<<32-8
	var e Entry
	for i := range uint32(20) {
		if c.Take(&e) {
			t.Fatalf("took before entry %d was put", i)
		}
		p.Put(&Entry{Slot: i})
		if !c.Take(&e) || e.Slot != i {
			t.Fatalf("entry %d: %+v", i, e)
		}
	}
}

func word0(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }
