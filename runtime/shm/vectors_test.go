package shm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// The published test vectors are what the code does; package wire has its own.
func TestVectors(t *testing.T) {
	doc, err := os.ReadFile("../../docs/reference/shared-memory.md")
	if err != nil {
		t.Fatal(err)
	}
	mem := aligned(4 * ring.EntrySize)
	r := ring.New(mem, 4)
	r.Put(&ring.Entry{Code: ring.KindEvent, Flags: ring.FlagShards, Slot: 7, Gen: 9, MetaOff: 0x10040, BodyOff: 0x100d0, MetaLen: 0x90, BodyLen: 4, Nanos: 0})
	r.PutAll([]ring.Entry{
		{Code: ring.KindBatched, Flags: ring.FlagGoesOn, Slot: 8, Gen: 3, MetaOff: 0x12040, BodyOff: 0x120d0, MetaLen: 0x90, BodyLen: 4},
		{Code: ring.KindBatched, Slot: 6, Gen: 2, MetaOff: 0xe040, BodyOff: 0xe0d0, MetaLen: 0x90, BodyLen: 5},
	})
	y := newLayout(Limits{}.withDefaults())
	page := make([]byte, 4096)
	y.writeHeader(page)
	replies := aligned(4 * ring.EntrySize)
	rr := ring.New(replies, 4)
	rr.Put(&ring.Entry{Code: 200, Flags: ring.FlagMore, Slot: 7, Gen: 9, BodyOff: 0x10040, BodyLen: 4})
	rr.Put(&ring.Entry{Code: 200, Slot: 7, Gen: 9, Nanos: 1000})
	rr.Put(&ring.Entry{Code: 204, Flags: ring.FlagRelease, Slot: 7, Gen: 9})
	for i := range 3 { // the claim word is the request ring's alone
		clear(replies[i*ring.EntrySize+ring.OffClaim : (i+1)*ring.EntrySize])
	}
	for name, b := range map[string][]byte{"part": replies[:ring.EntrySize], "end": replies[ring.EntrySize : 2*ring.EntrySize], "release": replies[2*ring.EntrySize : 3*ring.EntrySize], "header": page[:112], "entry": mem[:ring.EntrySize], "batch": mem[ring.EntrySize : 3*ring.EntrySize]} {
		if dump := strings.TrimSpace(dump(b)); !strings.Contains(string(doc), dump) {
			t.Errorf("docs/reference/shared-memory.md lacks the vector of the %s:\n%s", name, dump)
		}
	}
}

// dump is lines of 32 hexadecimal digits.
func dump(b []byte) string {
	var s strings.Builder
	for ; len(b) > 0; b = b[min(16, len(b)):] {
		s.WriteString(hex.EncodeToString(b[:min(16, len(b))]) + "\n")
	}
	return s.String()
}

// Whatever sequence of entries a worker writes, each slot gets one outcome, is
// freed once at most, and nothing blocks.
func FuzzEntries(f *testing.F) {
	y := newLayout(Limits{Slots: 4, Arena: 64 << 10}.withDefaults())
	shared := aligned(int(y.size))
	f.Add([]byte{0, 0, 1, 2, 1, 3, 3, 16})
	f.Add([]byte{0, 8, 0, 8, 0, 0, 1, 4, 1, 16, 2, 32, 3, 12, 3, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &Instance{claims: true, broken: make(chan struct{})}
		in.calls.begin(nil)
		in.attach(y, shared)
		var live []*slot
		for range 3 {
			s := in.takeSlot()
			s.armed.Store(s.gen)
			s.pos = in.requests.Pos
			in.requests.Put(&ring.Entry{})
			live = append(live, s)
		}
		in.Recall()
		for i := 0; i+1 < len(b); i += 2 {
			if b[i]&0x40 != 0 {
				in.Recall()
			}
			e := ring.Entry{Code: 200, Slot: uint32(b[i] & 7), Gen: 1 + uint32(b[i]>>7), Flags: uint16(b[i+1]), BodyOff: uint64(y.slots), BodyLen: 1}
			if in.deliver(&e) != nil {
				break
			}
		}
		in.settle()
		for _, s := range live {
			if len(s.done) != 1 {
				t.Fatalf("slot %d has %d outcomes", s.index, len(s.done))
			}
			out := in.outcome(s, &event.Response{})
			var failed *event.Error
			if out != nil && !errors.As(out, &failed) && !errors.Is(out, event.ErrCrashed) && !errors.Is(out, event.ErrRecalled) && !errors.Is(out, event.ErrNotRun) {
				t.Fatalf("slot %d: %v", s.index, out)
			}
		}
		seen := map[*slot]bool{}
		for _, s := range in.free {
			if seen[s] {
				t.Fatalf("slot %d was freed twice", s.index)
			}
			seen[s] = true
		}
	})
}

// Whatever stands in an entry, it is refused or lies inside the mapping.
func FuzzEntry(f *testing.F) {
	f.Add(make([]byte, ring.EntrySize))
	good := aligned(ring.EntrySize)
	r := ring.New(good, 1)
	r.Put(&ring.Entry{Code: 200, Slot: 1, Gen: 5, MetaOff: 1 << 20, BodyOff: 1 << 20, MetaLen: 10, BodyLen: 10})
	f.Add(bytes.Clone(good))
	y := newLayout(Limits{Slots: 2, Arena: 64 << 10}.withDefaults())
	shared := aligned(int(y.size))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < ring.EntrySize {
			return
		}
		mem := aligned(ring.EntrySize)
		copy(mem, b)
		binary.LittleEndian.PutUint32(mem, 1)
		in := &Instance{}
		in.attach(y, shared)
		s := in.takeSlot()
		for s.index != 1 {
			s = in.takeSlot()
		}
		s.gen = 5
		s.armed.Store(5)
		one := ring.New(mem, 1)
		var e ring.Entry
		if !one.Take(&e) {
			t.Fatal("no entry")
		}
		if in.deliver(&e) != nil {
			return
		}
		if e.Slot != 1 || e.Gen != 5 || s.armed.Load() != 0 || e.Code < 100 || e.Code > 999 || len(s.done) != 1 {
			t.Errorf("believed %+v", e)
		}
		if e.Flags&ring.FlagFD == 0 && (e.MetaOff+uint64(e.MetaLen) > uint64(y.size) || e.BodyOff+uint64(e.BodyLen) > uint64(y.size)) {
			t.Errorf("outside the mapping: %+v", e)
		}
	})
}
