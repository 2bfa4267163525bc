package shm

import (
	"encoding/binary"
	"fmt"

	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// The format's version. A worker refuses a major it does not know.
const (
	Major = 1
	Minor = 2
)

var magic = [8]byte{'M', 'Y', 'L', 'S', 'H', 'M', '1', 0}

// Fixed offsets; everything else is found through the header.
const (
	offWorkerSleep = 0x100 // u32, set by the worker, cleared by whoever rings it
	offGoSleep     = 0x180 // u32, set by the processor, cleared by whoever rings it
	offWorkerState = 0x200 // u32 state, u32 begun: written by the worker only
	offBegun       = 0x204
	offGoState     = 0x280 // u32: 0 run, 2 stop, 3 stop at the end of a drain
	offKept        = 0x400 // u32 each: counters of changes, see runtime.Keeper; written by the processor
	offRings       = 0x1000

	slotSize = 8192
	// The first line of a slot is the processor's word to the worker; then the
	// request's part, then the response's.
	// Words in that line besides the generation at 0.
	slotTaken    = 4 // u32: parts of a stream that the processor has consumed
	slotUnwanted = 8 // u32: generation of a stream that nobody reads any more
	slotRequest  = 64
	slotResponse = 4096

	arenaAlign = 2 << 20
	minBlock   = 16 << 10

	goStop = 2
	goLeft = 1 // beside goStop: the hooks for the drain were asked for

	maxSlots = 4096

	// maxParts is how many parts of a stream may be on their way. With them, the
	// last one and a release, each slot has at most six entries unread.
	maxParts       = 4
	entriesPerSlot = 8
	mostPerSlot    = maxParts + 2

	// A cell is one call of the worker on its way: a line of answer, then room
	// for what is asked and, after it was taken, for what is answered.
	cellCount = 256
	cellSize  = 2048
	cellRoom  = 64

	cellAnswered = 0 // u32: generation of the last answer, the processor's
	cellConsumed = 4 // u32: generation of the last answer that the worker is done with

	featureCalls = 1 // header: the processor takes calls
)

// Limits sizes a channel. The zero value means the defaults.
type Limits struct {
	Slots   int   // events in flight at most; a power of two; default 128
	Arena   int64 // bytes of each of the two arenas; a power of two; default 16 MiB
	MaxBody int64 // largest metadata plus body in either direction; default 256 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Slots == 0 {
		l.Slots = 128
	}
	if l.Arena == 0 {
		l.Arena = 16 << 20
	}
	if l.MaxBody == 0 {
		l.MaxBody = 256 << 20
	}
	return l
}

// ForBatches returns l with as many slots as batches of n events need: see
// Instance.MaxBatch.
func (l Limits) ForBatches(n int) Limits {
	l = l.withDefaults()
	for l.Slots < 2*n && l.Slots < maxSlots {
		l.Slots *= 2
	}
	return l
}

// Check reports what is wrong with l; zero fields are right.
func (l Limits) Check() error {
	l = l.withDefaults()
	switch {
	case l.Slots < 2 || l.Slots > maxSlots || l.Slots&(l.Slots-1) != 0:
		return fmt.Errorf("slots: %d is not a power of two from 2 to 4096", l.Slots)
	case l.Arena < 4*minBlock || l.Arena > 1<<30 || l.Arena&(l.Arena-1) != 0:
		return fmt.Errorf("arena: %d is not a power of two from 64 KiB to 1 GiB", l.Arena)
	case l.MaxBody < 1 || l.MaxBody > 1<<31-1:
		return fmt.Errorf("maxBody: %d is not between 1 byte and 2 GiB", l.MaxBody)
	}
	return nil
}

// layout is where the parts of one mapping lie.
type layout struct {
	Limits
	size                 int64
	requests, responses  int64
	slots, cells         int64
	goArena, workerArena int64
	respEntries          int
}

func newLayout(l Limits) layout {
	y := layout{Limits: l, requests: offRings, respEntries: entriesPerSlot * l.Slots}
	for y.respEntries < mostPerSlot*l.Slots+cellCount {
		y.respEntries *= 2
	}
	y.responses = y.requests + int64(l.Slots)*ring.EntrySize
	y.slots = y.responses + int64(y.respEntries)*ring.EntrySize
	y.slots = (y.slots + 4095) &^ 4095
	y.cells = y.slots + int64(l.Slots)*slotSize
	end := y.cells + cellCount*cellSize
	y.goArena = (end + arenaAlign - 1) &^ (arenaAlign - 1)
	y.workerArena = y.goArena + l.Arena
	y.size = y.workerArena + l.Arena
	return y
}

func (y *layout) slot(i int) int64 { return y.slots + int64(i)*slotSize }

func (y *layout) cell(i int) int64 { return y.cells + int64(i)*cellSize }

// writeHeader fills the first page before the worker sees it.
func (y *layout) writeHeader(mem []byte) {
	copy(mem, magic[:])
	le := binary.LittleEndian
	le.PutUint16(mem[8:], Major)
	le.PutUint16(mem[10:], Minor)
	le.PutUint64(mem[16:], uint64(y.size))
	le.PutUint32(mem[24:], uint32(y.Slots))
	le.PutUint32(mem[28:], slotSize)
	le.PutUint32(mem[32:], uint32(y.requests))
	le.PutUint32(mem[36:], uint32(y.responses))
	le.PutUint32(mem[40:], uint32(y.respEntries))
	le.PutUint32(mem[44:], uint32(y.slots))
	le.PutUint32(mem[48:], slotRequest)
	le.PutUint32(mem[52:], slotResponse)
	le.PutUint64(mem[56:], uint64(y.goArena))
	le.PutUint64(mem[64:], uint64(y.Arena))
	le.PutUint64(mem[72:], uint64(y.workerArena))
	le.PutUint64(mem[80:], uint64(y.Arena))
	le.PutUint64(mem[88:], uint64(y.MaxBody))
	le.PutUint32(mem[96:], cellCount)
	le.PutUint32(mem[100:], cellSize)
	le.PutUint32(mem[104:], uint32(y.cells))
}
