package shm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm/ring"
	"github.com/myelin-run/myelin/runtime/shm/wire"
)

// calls is what a worker asks of the processor: each cell is one call on its
// way, so there are never more goroutines for them than cells.
type calls struct {
	caller runtime.Caller // nil: there are no calls
	ctx    context.Context
	cancel context.CancelFunc // when the worker has gone
	cells  []*cell
	unheed func() // tells of no more changes
	whole  *scope // of calls that belong to no event
	held   int64  // bytes of the arena that hold answers; guarded by Instance.mu
}

// cell is the processor's side of one call at a time.
type cell struct {
	index    uint32
	busy     atomic.Bool   // a call runs
	file     chan callFile // holds one: a request too large for the arena
	gen      uint32        // of the answer that lies in the arena; guarded by Instance.mu
	block    int64         // where; guarded by Instance.mu
	blockLen int64         // 0 if none does; guarded by Instance.mu
	lent     int64         // where the block lies that is lent to the call that runs, which alone uses this; 0: none is
}

type callFile struct {
	gen uint32
	f   *os.File
}

// begin makes the context of all calls of a worker.
func (c *calls) begin(caller runtime.Caller) {
	c.caller, c.unheed = caller, func() {}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.whole = newScope(c.ctx, nil)
}

// heed has the mapping's counters say what may have changed of what the worker
// keeps, until unheed.
func (c *calls) heed(mem []byte) {
	if k, ok := c.caller.(runtime.Keeper); ok {
		c.unheed = k.Follow(func(counter int, count uint32) { ring.Word(mem[offKept+4*counter:]).Store(count) })
	}
}

// close frees the files of calls that were never taken.
func (c *calls) close() {
	c.cancel()
	c.unheed()
	for _, cl := range c.cells {
		select {
		case f := <-cl.file:
			_ = f.f.Close()
		default:
		}
	}
}

func newCells() []*cell {
	cells := make([]*cell, cellCount)
	for i := range cells {
		cells[i] = &cell{index: uint32(i), file: make(chan callFile, 1)}
	}
	return cells
}

// checkCall decides whether what an entry says of a call may be believed.
func (in *Instance) checkCall(e *ring.Entry) error {
	switch {
	case in.calls.caller == nil:
		return errors.New("call of a worker that was told there are none")
	case e.Flags&^(ring.FlagCall|ring.FlagFD) != 0:
		return fmt.Errorf("call with flags %#x", e.Flags)
	case e.Slot >= uint32(len(in.calls.cells)) || e.Gen == 0:
		return fmt.Errorf("call in cell %d of %d, generation %d", e.Slot, len(in.calls.cells), e.Gen)
	case e.For > uint32(len(in.slots)):
		return fmt.Errorf("call for slot %d of %d", e.For-1, len(in.slots))
	case uint64(e.MetaLen)+uint64(e.BodyLen) > uint64(in.MaxBody)+1<<20:
		return fmt.Errorf("call of %d bytes", uint64(e.MetaLen)+uint64(e.BodyLen))
	case e.Flags&ring.FlagFD == 0 && (!in.inside(e.MetaOff, e.MetaLen) || !in.inside(e.BodyOff, e.BodyLen)):
		return fmt.Errorf("call outside the mapping: meta %d+%d, body %d+%d", e.MetaOff, e.MetaLen, e.BodyOff, e.BodyLen)
	}
	return nil
}

// asked begins a call; an error is a violation.
func (in *Instance) asked(e *ring.Entry) error {
	if err := in.checkCall(e); err != nil {
		return err
	}
	c := in.calls.cells[e.Slot]
	if !c.busy.CompareAndSwap(false, true) {
		return fmt.Errorf("second call in cell %d, generation %d", e.Slot, e.Gen)
	}
	in.mu.Lock()
	in.freeAnswer(c) // who asks anew is done with the last answer
	in.mu.Unlock()
	var sc *scope
	if e.Code == runtime.CallBinding {
		sc = in.scopeOf(e)
		sc.running.Add(1)
	}
	in.begin(task{c, *e, sc})
	return nil
}

// call runs one call and answers it. Only calls of bindings have a scope.
func (in *Instance) call(c *cell, e *ring.Entry, sc *scope) {
	var call runtime.Call
	if err := in.readCall(c, e, &call); err != nil {
		sc.leave()
		in.violate(err)
		return
	}
	if sc != nil {
		gen := e.Gen
		call.Room = func(n int) []byte { return in.lendRoom(c, gen, n) }
	}
	var answer event.Response
	err := in.run(&call, &answer, sc, e.Nanos)
	if in.calls.ctx.Err() != nil {
		return // nobody reads it
	}
	in.reply(c, e.Gen, &answer, err)
}

// run does a call within its time and its scope.
func (in *Instance) run(call *runtime.Call, answer *event.Response, sc *scope, nanos uint64) error {
	defer sc.leave()
	ctx, cancel := in.calls.ctx, context.CancelFunc(func() {})
	if sc != nil {
		ctx, call.Scope = sc.ctx, &sc.Scope
	}
	if nanos > 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(min(nanos, math.MaxInt64)))
	}
	defer cancel()
	err := in.do(ctx, call, answer)
	if sc != nil && sc.ctx.Err() != nil && (err != nil || answer.Status >= http.StatusBadRequest) {
		return event.Errorf(http.StatusGone, "binding %s: the event was answered before this call was", call.Name)
	}
	return err
}

// do turns a panic of the caller into an error, so that the worker gets its answer.
func (in *Instance) do(ctx context.Context, call *runtime.Call, answer *event.Response) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("call panicked: %v", r)
		}
	}()
	return in.calls.caller.Do(ctx, call, answer)
}

// readCall decodes what is asked. The metadata is copied; the body is where the
// worker put it, and so may change.
func (in *Instance) readCall(c *cell, e *ring.Entry, call *runtime.Call) error {
	call.Kind = e.Code
	if e.Flags&ring.FlagFD != 0 {
		return in.readCallFile(c, e, call)
	}
	meta := append([]byte(nil), in.mem[e.MetaOff:e.MetaOff+uint64(e.MetaLen)]...)
	call.Body = in.mem[e.BodyOff : e.BodyOff+uint64(e.BodyLen)]
	if cell := uint64(in.cell(int(c.index))); e.BodyOff < cell+cellSize && e.BodyOff+uint64(e.BodyLen) > cell {
		call.Body = append([]byte(nil), call.Body...) // the answer may come to lie there
	}
	return wire.DecodeCall(meta, call)
}

// readCallFile takes a large call from its file.
func (in *Instance) readCallFile(c *cell, e *ring.Entry, call *runtime.Call) error {
	var cf callFile
	select {
	case cf = <-c.file:
	case <-in.broken:
		return errors.New("large call whose worker died")
	}
	defer cf.f.Close()
	if cf.gen != e.Gen || e.MetaOff > math.MaxInt64-1<<33 || e.BodyOff > math.MaxInt64-1<<33 {
		return fmt.Errorf("large call in cell %d, generation %d, with the file of generation %d", e.Slot, e.Gen, cf.gen)
	}
	info, err := cf.f.Stat()
	if err != nil || info.Size() < int64(e.BodyOff)+int64(e.BodyLen) || info.Size() < int64(e.MetaOff)+int64(e.MetaLen) {
		return errors.New("large call is longer than its file")
	}
	b := make([]byte, int(e.MetaLen))
	if _, err := cf.f.ReadAt(b, int64(e.MetaOff)); err != nil {
		return fmt.Errorf("read large call: %w", err)
	}
	call.Body = make([]byte, int(e.BodyLen))
	if _, err := cf.f.ReadAt(call.Body, int64(e.BodyOff)); err != nil {
		return fmt.Errorf("read large call: %w", err)
	}
	return wire.DecodeCall(b, call)
}

// callMessage hands the file of a large call to its cell.
func (in *Instance) callMessage(b []byte, files *[]*os.File) error {
	if len(b) < 12 || len(*files) != 1 {
		return errors.New("large call without its file")
	}
	i, gen := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	f := (*files)[0]
	switch {
	case in.calls.caller == nil || i >= uint32(len(in.calls.cells)):
		return fmt.Errorf("large call in cell %d of %d", i, len(in.calls.cells))
	case !isMemory(f):
		return errors.New("large call is not in a memory file")
	}
	select {
	case in.calls.cells[i].file <- callFile{gen, f}:
		*files = nil
		return nil
	default:
		return fmt.Errorf("second file for cell %d", i)
	}
}

// reply answers a call: with answer, or with why there is none.
func (in *Instance) reply(c *cell, gen uint32, answer *event.Response, err error) {
	defer answer.Reset()
	e := ring.Entry{Code: http.StatusOK, Slot: c.index, Gen: gen}
	body := answer.Body
	if answer.Owner != nil {
		body = answer.View
	}
	if total := len(body); err == nil && int64(total) > in.MaxBody {
		err = event.Errorf(http.StatusBadGateway, "answer of %d bytes is above the limit of %d", total, in.MaxBody)
	}
	var meta []byte
	if err != nil {
		e.Flags, e.Code = ring.FlagError, http.StatusInternalServerError
		var status *event.Error
		if errors.As(err, &status) && status.Status >= 100 && status.Status <= 999 {
			e.Code = uint16(status.Status)
		}
		body = []byte(err.Error())
	} else {
		if answer.Status != 0 {
			e.Code = uint16(answer.Status)
		}
		meta = wire.EncodeAnswer(answer)
	}
	e.MetaLen, e.BodyLen = uint32(len(meta)), uint32(len(body))
	if err := in.placeAnswer(c, &e, meta, body); err != nil {
		in.log.Error("answer of a call cannot be passed to the worker; it is killed", "error", err.Error())
		_ = in.proc.Kill()
		return
	}
	in.publishAnswer(c, &e)
}

// lendRoom lends the block of a cell to the call that runs, for the body of its answer.
// What fits into the cell is not worth it.
func (in *Instance) lendRoom(c *cell, gen uint32, n int) []byte {
	if n <= cellSize-cellRoom || int64(n) > in.MaxBody {
		return nil
	}
	in.dropRoom(c)
	off, ok := in.answerBlock(c, gen, int64(n))
	if !ok {
		return nil
	}
	c.lent = off
	return in.mem[off : off+int64(n) : off+int64(n)]
}

// dropRoom gives back what was lent to a call.
func (in *Instance) dropRoom(c *cell) {
	if c.lent == 0 {
		return
	}
	c.lent = 0
	in.mu.Lock()
	in.freeAnswer(c)
	in.mu.Unlock()
}

// placeAnswer puts an answer where there is room for it, or leaves its body where
// that was lent.
func (in *Instance) placeAnswer(c *cell, e *ring.Entry, meta, body []byte) error {
	if c.lent != 0 {
		at := in.Offset(body)
		if at == c.lent && len(meta) <= cellSize-cellRoom {
			c.lent = 0
			e.MetaOff, e.BodyOff = uint64(in.cell(int(c.index))+cellRoom), uint64(at)
			copy(in.mem[e.MetaOff:], meta)
			return nil
		}
		if at >= 0 && at < in.size {
			body = bytes.Clone(body) // where it lies is given back
		}
		in.dropRoom(c)
	}
	total := int64(len(meta)) + int64(len(body))
	off := in.cell(int(c.index)) + cellRoom
	if total > cellSize-cellRoom {
		var ok bool
		if off, ok = in.answerBlock(c, e.Gen, total); !ok {
			return in.answerInFile(c, e, meta, body)
		}
	}
	e.MetaOff, e.BodyOff = uint64(off), uint64(off)+uint64(len(meta))
	copy(in.mem[e.MetaOff:], meta)
	copy(in.mem[e.BodyOff:], body)
	return nil
}

// answerBlock takes a block of the arena for an answer, and does not wait for
// one: events go first. The worker frees it when it likes, so answers have a
// quarter of the arena at most.
func (in *Instance) answerBlock(c *cell, gen uint32, n int64) (int64, bool) {
	size := int64(minBlock) << orderOf(n)
	in.mu.Lock()
	defer in.mu.Unlock()
	if size > in.Arena/4 || in.calls.held+size > in.Arena/4 && (!in.sweepAnswers() || in.calls.held+size > in.Arena/4) {
		return 0, false
	}
	off, ok := in.arena.alloc(n)
	if !ok {
		return 0, false
	}
	c.gen, c.block, c.blockLen = gen, off, n
	in.calls.held += size
	in.pinned.Add(1)
	return in.goArena + off, true
}

// freeAnswer gives back the block of a cell's last answer. The caller holds mu.
func (in *Instance) freeAnswer(c *cell) {
	if c.blockLen == 0 {
		return
	}
	in.arena.release(c.block, c.blockLen)
	in.calls.held -= int64(minBlock) << orderOf(c.blockLen)
	c.blockLen = 0
	in.pinned.Add(-1)
	in.room.Broadcast()
}

// sweepAnswers gives back the blocks of answers that the worker is done with,
// and reports whether there were any. The caller holds mu.
func (in *Instance) sweepAnswers() bool {
	if in.calls.held == 0 {
		return false
	}
	freed := false
	for i, c := range in.calls.cells {
		if c.blockLen > 0 && ring.Word(in.mem[in.cell(i)+cellConsumed:]).Load() == c.gen {
			in.freeAnswer(c)
			freed = true
		}
	}
	return freed
}

// answerInFile passes an answer that no block holds in a memory file.
func (in *Instance) answerInFile(c *cell, e *ring.Entry, meta, body []byte) error {
	fd, err := unix.MemfdCreate("myelin-answer", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("create memory file: %w", err)
	}
	f := os.NewFile(uintptr(fd), "answer")
	defer f.Close()
	for _, part := range [][]byte{meta, body} {
		if _, err := f.Write(part); err != nil {
			return fmt.Errorf("write memory file: %w", err)
		}
	}
	e.Flags |= ring.FlagFD
	e.BodyOff = uint64(len(meta))
	if err := in.sendMemory(msgCall, c.index, e.Gen, fd, e); err != nil && in.calls.ctx.Err() == nil {
		return fmt.Errorf("send memory file: %w", err)
	}
	return nil
}

// publishAnswer writes the cell's line, its generation last, and wakes the worker.
func (in *Instance) publishAnswer(c *cell, e *ring.Entry) {
	at := in.cell(int(c.index))
	b := in.mem[at : at+cellRoom]
	le := binary.LittleEndian
	le.PutUint16(b[8:], e.Code)
	le.PutUint16(b[10:], e.Flags)
	le.PutUint64(b[16:], e.MetaOff)
	le.PutUint64(b[24:], e.BodyOff)
	le.PutUint32(b[32:], e.MetaLen)
	le.PutUint32(b[36:], e.BodyLen)
	c.busy.Store(false) // from the next line on the worker may ask anew
	ring.Word(b[cellAnswered:]).Store(e.Gen)
	in.bell()
}
