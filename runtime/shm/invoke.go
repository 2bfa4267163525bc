package shm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm/ring"
	"github.com/myelin-run/myelin/runtime/shm/wire"
)

// Invoke runs the function on ev; see runtime.Instance. It allocates nothing
// for events and responses that fit the arenas, and waits while no slot or
// block is free.
func (in *Instance) Invoke(ctx context.Context, ev *event.Event, resp *event.Response) error {
	s := in.takeSlot()
	if s == nil {
		return event.ErrNotRun
	}
	s.values = ctx
	if in.spin.on && in.worthIt() {
		return in.invokeAwake(s, ev, resp)
	}
	alone := in.lone.on && !in.company()
	if err := in.send(s, ev, now); err != nil {
		in.putSlot(s)
		return err
	}
	if alone {
		return in.become(in.await(s), s, resp)
	}
	return in.outcome(s, resp)
}

// outcome waits for what becomes of s and gives up the hold on it, unless the
// response is lent out or streams.
func (in *Instance) outcome(s *slot, resp *event.Response) error {
	return in.become(<-s.done, s, resp)
}

func (in *Instance) become(o outcome, s *slot, resp *event.Response) (err error) {
	switch o {
	case answered:
		if s.fail != nil {
			err, s.fail = s.fail, nil
			break
		}
		if err = in.answer(s, resp); resp.Owner != nil {
			return err
		}
	case streaming:
		return in.startStream(s, resp)
	case recalled:
		err = event.ErrRecalled
	case crashed:
		err = event.ErrCrashed
	case notRun:
		err = event.ErrNotRun
	}
	in.drop(s)
	return err
}

// takeSlot waits for a free slot; nil if the worker is gone.
func (in *Instance) takeSlot() *slot {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.free) == 0 && !in.dead {
		in.room.Wait()
	}
	if in.dead {
		return nil
	}
	return in.popSlot()
}

// popSlot takes a free slot; there is one. in.mu is held.
func (in *Instance) popSlot() *slot {
	s := in.free[len(in.free)-1]
	in.free = in.free[:len(in.free)-1]
	if s.gen++; s.gen == 0 {
		s.gen = 1
	}
	s.holds.Store(1)
	return s
}

// drop gives up one hold on s.
func (in *Instance) drop(s *slot) {
	if s.holds.Add(-1) == 0 {
		in.putSlot(s)
	}
}

// putSlot frees s and tells the worker that its response was consumed.
func (in *Instance) putSlot(s *slot) {
	s.expects.Store(0)
	s.values = nil
	ring.Word(in.mem[in.slot(int(s.index)):]).Store(s.gen)
	select { // a file that came for a slot whose worker died
	case f := <-s.file:
		_ = f.Close()
	default:
	}
	if s.loan != nil {
		s.loan.Release()
		s.loan = nil
	}
	in.mu.Lock()
	s.terms, s.reserved, s.brought = runtime.Terms{}, nil, nil
	s.batched.Store(false)
	switch {
	case s.blockLen > 0:
		in.arena.release(s.block, s.blockLen)
		s.blockLen = 0
		in.room.Broadcast()
	case in.wide > 0: // who waits for several slots may not be the one who can go on
		in.room.Broadcast()
	default:
		in.room.Signal()
	}
	in.free = append(in.free, s)
	in.mu.Unlock()
}

// pace is whether a caller waits for memory and has its entry heard of now, or
// does neither, and rings later. Awake is now, by a caller that spins.
type pace uint8

const (
	later pace = iota
	now
	awake
)

// send lays the event out and publishes its entry.
func (in *Instance) send(s *slot, ev *event.Event, p pace) error {
	var e ring.Entry
	f, err := in.lay(s, ev, p != later, &e)
	if err != nil {
		return err
	}
	if f == nil {
		return in.publish(s, &e, p)
	}
	defer f.Close()
	in.sendMu.Lock()
	defer in.sendMu.Unlock()
	if err := in.sendBody(s, int(f.Fd()), &e); err != nil {
		// The worker is going, and the event was not published.
		return event.ErrNotRun
	}
	return in.publish(s, &e, p)
}

// lay puts metadata and body of ev where the worker reads them and says in e
// where that is. What fits no block is in the file that it returns, to be sent
// before e is published. If wait is false, what finds no free block goes in a
// file too.
func (in *Instance) lay(s *slot, ev *event.Event, wait bool, e *ring.Entry) (*os.File, error) {
	s.meta.Write(ev)
	s.brought = ev.Brought
	need := int64(len(s.meta.Buf)) + int64(len(ev.Body))
	if need > in.MaxBody {
		return nil, event.Errorf(http.StatusRequestEntityTooLarge, "event of %d bytes is above the limit of %d", need, in.MaxBody)
	}
	describeEntry(s, ev, e)
	base := in.slot(int(s.index))
	if off, ok := in.borrowed(s, ev); ok {
		e.MetaOff, e.BodyOff = uint64(base+slotRequest), off
		copy(in.mem[e.MetaOff:], s.meta.Buf)
		return nil, nil
	}
	switch {
	case need <= slotResponse-slotRequest:
		e.MetaOff = uint64(base + slotRequest)
	case need > in.Arena/4:
		return in.bodyFile(s, ev, e)
	default:
		off, err := in.takeBlock(s, need, wait)
		if errors.Is(err, errPinned) {
			return in.bodyFile(s, ev, e)
		}
		if err != nil {
			return nil, err
		}
		e.MetaOff = uint64(off)
	}
	e.BodyOff = e.MetaOff + uint64(e.MetaLen)
	copy(in.mem[e.MetaOff:], s.meta.Buf)
	copy(in.mem[e.BodyOff:], ev.Body)
	return nil, nil
}

// describeEntry fills e but for its offsets; s.meta is written.
func describeEntry(s *slot, ev *event.Event, e *ring.Entry) {
	*e = ring.Entry{Code: ring.KindEvent, Slot: s.index, Gen: s.gen, MetaLen: uint32(len(s.meta.Buf)), BodyLen: uint32(len(ev.Body))}
	if ev.LogAsked {
		e.Flags |= ring.FlagLogAsked
	}
	if ev.Shards > 0 {
		e.Flags |= ring.FlagShards
	}
}

// errPinned says that blocks are in use for nobody knows how long.
var errPinned = errors.New("blocks are pinned")

// takeBlock returns a block of the arena, by its offset in the mapping. If wait
// is false it does not wait for one.
func (in *Instance) takeBlock(s *slot, n int64, wait bool) (int64, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.dead {
		if off, ok := in.arena.alloc(n); ok {
			s.block, s.blockLen = off, n
			return in.goArena + off, nil
		}
		if in.sweepAnswers() {
			continue
		}
		if !wait || in.pinned.Load() > 0 {
			return 0, errPinned
		}
		in.room.Wait()
	}
	return 0, event.ErrNotRun
}

// publish puts e in the ring and rings the bell. Later means that the bell is
// left to Flush, most times.
func (in *Instance) publish(s *slot, e *ring.Entry, p pace) error {
	in.mu.Lock()
	if in.dead {
		in.mu.Unlock()
		return event.ErrNotRun
	}
	if p == awake { // nothing is in the way any more of who will set it again
		in.goSleep.Store(0)
	}
	in.arm(s, in.requests.Pos, in.requests.Pos)
	in.requests.Put(e)
	alone := in.always.Load() || in.Slots-len(in.free) <= 1
	in.mu.Unlock()
	switch {
	case p == later:
		if in.unrung.Add(1) >= ringEvery {
			in.Flush()
		}
	case alone, p == awake:
		in.bell()
	default:
		in.bellSoon()
	}
	return nil
}

// arm puts s in flight with the entry at pos of the batch that begins at lead.
// in.mu is held.
func (in *Instance) arm(s *slot, pos, lead uint32) {
	s.pos, s.lead, s.era = pos, lead, in.era
	s.expects.Store(s.gen)
	s.armed.Store(s.gen)
}

// complete gives s its outcome. Whoever waits for it may have the slot before
// this returns.
func (s *slot) complete(o outcome) {
	in, done, tag := s.owner.in, s.terms.Done, s.terms.Tag
	s.done <- o
	in.rouse(s)
	if done != nil {
		done.Complete(tag)
	}
}

// answer copies a response out of the mapping into resp, or lends it.
func (in *Instance) answer(s *slot, resp *event.Response) error {
	e := &s.resp
	var body []byte
	if e.Flags&ring.FlagFD != 0 {
		if err := in.answerFile(s, resp); err != nil {
			return err
		}
	} else {
		s.scratch = append(s.scratch[:0], in.mem[e.MetaOff:e.MetaOff+uint64(e.MetaLen)]...)
		body = in.mem[e.BodyOff : e.BodyOff+uint64(e.BodyLen)]
	}
	if err := s.describe(resp); err != nil {
		in.violate(err)
		return event.ErrCrashed
	}
	resp.Status = int(e.Code)
	if e.Flags&ring.FlagError != 0 {
		err := &event.Error{Status: int(e.Code), Message: string(append(resp.Body, body...))}
		resp.Body = resp.Body[:0]
		return err
	}
	if !in.lend(s, resp, body) {
		resp.Body = append(resp.Body, body...)
	}
	return nil
}

// describe fills in what the metadata says. A slot whose responses are alike
// decodes them once.
func (s *slot) describe(resp *event.Response) error {
	if len(s.scratch) == 0 {
		resp.ContentType = "text/plain"
		return nil
	}
	if !bytes.Equal(s.scratch, s.last) {
		var a wire.Answer
		if err := wire.DecodeAnswer(s.scratch, &a); err != nil {
			return err
		}
		s.last, s.cached = append(s.last[:0], s.scratch...), a
	}
	resp.ContentType = s.cached.ContentType
	resp.Header = append(resp.Header, s.cached.Header...)
	resp.Logs = append(resp.Logs, s.cached.Logs...)
	return nil
}

// bodyFile returns a file with an event that no block can hold.
func (in *Instance) bodyFile(s *slot, ev *event.Event, e *ring.Entry) (*os.File, error) {
	fd, err := unix.MemfdCreate("myelin-body", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create file for a large event: %w", err)
	}
	f := os.NewFile(uintptr(fd), "myelin-body")
	if _, err = f.Write(s.meta.Buf); err == nil {
		_, err = f.Write(ev.Body)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write large event: %w", err)
	}
	e.Flags |= ring.FlagFD
	e.MetaOff, e.BodyOff = 0, uint64(e.MetaLen)
	return f, nil
}

// answerFile reads a response that came in a file of its own. The file is
// read, not mapped: its owner could cut it short.
func (in *Instance) answerFile(s *slot, resp *event.Response) error {
	var f *os.File
	select {
	case f = <-s.file:
	case <-in.broken:
		select {
		case f = <-s.file:
		default:
			return event.ErrCrashed
		}
	}
	defer f.Close()
	e := &s.resp
	if e.MetaOff > math.MaxInt64-1<<33 || e.BodyOff > math.MaxInt64-1<<33 {
		in.violate(wire.ErrMalformed)
		return event.ErrCrashed
	}
	if size, err := f.Seek(0, io.SeekEnd); err != nil || size < int64(e.MetaLen)+int64(e.BodyLen) {
		in.violate(fmt.Errorf("large response is shorter than it says: %d bytes", size))
		return event.ErrCrashed
	}
	s.scratch = append(s.scratch[:0], make([]byte, e.MetaLen)...)
	at := len(resp.Body)
	resp.Body = append(resp.Body, make([]byte, e.BodyLen)...)
	if _, err := f.ReadAt(s.scratch, int64(e.MetaOff)); err != nil {
		in.violate(err)
		return event.ErrCrashed
	}
	if _, err := f.ReadAt(resp.Body[at:], int64(e.BodyOff)); err != nil {
		in.violate(err)
		return event.ErrCrashed
	}
	return nil
}

var one = uint64(1)

// ring8 adds one to an eventfd. The raw call tells the scheduler nothing,
// which is right for a call that cannot block.
func ring8(fd int) {
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&one)), 8)
}
