// Package ring is a single-producer, single-consumer ring of descriptors over a
// byte slice, as both sides of a shared-memory channel have it. It opens and
// starts nothing, and knows neither what the descriptors are about nor who
// sleeps: runtime/shm does.
package ring

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// Entry is one descriptor, copied out of or into a ring. Offsets are from the
// start of the mapping or, with FlagFD, of the file that came on the control
// socket.
type Entry struct {
	Code    uint16 // request: kind; response: status
	Flags   uint16
	Slot    uint32
	Gen     uint32
	MetaOff uint64
	BodyOff uint64
	MetaLen uint32
	BodyLen uint32
	Nanos   uint64 // response: how long the handler took
	For     uint32 // a call: 1 + the slot of the event that asks; 0 if none does
	ForGen  uint32 // and the slot's generation
}

// EntrySize is how many bytes an entry takes.
const EntrySize = 64

// Kinds of requests and flags of both directions.
const (
	KindEvent   = 1 // one event, one call
	KindBatched = 2 // one of the events of one call

	FlagFD       = 1  // metadata and body are in a file of their own
	FlagError    = 2  // response: the function failed; the body is its message
	FlagLogAsked = 4  // request: the log records are wanted in the response
	FlagShards   = 8  // request: shard, shards and offset mean something
	FlagGoesOn   = 16 // request: the next entry is of the same batch

	FlagRetain   = 4  // response: the request's memory is still in use
	FlagMore     = 8  // response: a part of a stream; more follow
	FlagRelease  = 16 // response: what was retained is in use no more
	FlagRecalled = 32 // response: the request was called back; the worker passed over it
	FlagCall     = 64 // response: no response, but a call of the worker's; slot is its cell and code its kind
)

// States of a request in its claim word, which lies in its entry. Whoever
// moves the word on from ClaimQueued, by compare-and-swap, decides whether the
// worker runs the event. The lap makes a word that belongs to a later request
// in the same entry differ.
const (
	OffClaim = 48
	offFor   = 52

	ClaimQueued   = 1
	ClaimBegun    = 2
	ClaimRecalled = 3
)

// Claim is the claim word of the request at pos in a state.
func Claim(pos, state uint32) uint32 { return pos<<2 | state }

// ClaimAt is the claim word of the request at pos.
func (r *Ring) ClaimAt(pos uint32) *atomic.Uint32 {
	return Word(r.mem[int(pos&r.mask)*EntrySize+OffClaim:])
}

// Ring is one end of a single-producer, single-consumer ring of descriptors.
// Its owner keeps its own position; the only shared word is the sequence in
// each entry, which is published last and is the lap-coded position plus one,
// so that neither an empty nor an old entry is ever taken for a new one.
type Ring struct {
	mem  []byte
	mask uint32
	Pos  uint32
}

// New returns one end of the ring in mem, at its start.
func New(mem []byte, entries int) Ring {
	return Ring{mem: mem[:entries*EntrySize], mask: uint32(entries - 1)}
}

func (r *Ring) at() []byte { return r.entryAt(r.Pos) }

func (r *Ring) entryAt(pos uint32) []byte {
	off := int(pos&r.mask) * EntrySize
	return r.mem[off : off+EntrySize : off+EntrySize]
}

// Word returns the shared word at the start of b, which is aligned.
func Word(b []byte) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&b[0])) }

// Put publishes e. The caller knows that the entry is free.
func (r *Ring) Put(e *Entry) {
	r.putAt(r.Pos, e)
	r.Pos++
}

// PutAll publishes es together: the first, for which alone the consumer looks,
// last.
func (r *Ring) PutAll(es []Entry) {
	for i := len(es) - 1; i >= 0; i-- {
		r.putAt(r.Pos+uint32(i), &es[i])
	}
	r.Pos += uint32(len(es))
}

func (r *Ring) putAt(pos uint32, e *Entry) {
	b := r.entryAt(pos)
	le := binary.LittleEndian
	le.PutUint16(b[4:], e.Code)
	le.PutUint16(b[6:], e.Flags)
	le.PutUint32(b[8:], e.Slot)
	le.PutUint32(b[12:], e.Gen)
	le.PutUint64(b[16:], e.MetaOff)
	le.PutUint64(b[24:], e.BodyOff)
	le.PutUint32(b[32:], e.MetaLen)
	le.PutUint32(b[36:], e.BodyLen)
	le.PutUint64(b[40:], e.Nanos)
	le.PutUint32(b[OffClaim:], Claim(pos, ClaimQueued)) // responses have no use for it
	le.PutUint32(b[offFor:], e.For)
	le.PutUint32(b[offFor+4:], e.ForGen)
	Word(b).Store(pos + 1)
}

// Ready reports whether an entry waits to be taken.
func (r *Ring) Ready() bool { return Word(r.at()).Load() == r.Pos+1 }

// Overrun reports whether the producer has gone past an entry that was not
// taken: it then holds a later sequence than the one that is waited for.
func (r *Ring) Overrun() bool { return int32(Word(r.at()).Load()-r.Pos-1) > 0 }

// Take copies the next entry into e and reports whether there was one. Every
// word is read once, and none is believed.
func (r *Ring) Take(e *Entry) bool {
	if !r.Ready() {
		return false
	}
	b := r.at()
	le := binary.LittleEndian
	e.Code, e.Flags = le.Uint16(b[4:]), le.Uint16(b[6:])
	e.Slot, e.Gen = le.Uint32(b[8:]), le.Uint32(b[12:])
	e.MetaOff, e.BodyOff = le.Uint64(b[16:]), le.Uint64(b[24:])
	e.MetaLen, e.BodyLen = le.Uint32(b[32:]), le.Uint32(b[36:])
	e.Nanos = le.Uint64(b[40:])
	e.For, e.ForGen = le.Uint32(b[offFor:]), le.Uint32(b[offFor+4:])
	r.Pos++
	return true
}
