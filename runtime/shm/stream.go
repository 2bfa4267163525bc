package shm

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// part takes in one part of a stream. The first is the head of the response.
func (in *Instance) part(s *slot, e *ring.Entry) error {
	if e.Flags&^ring.FlagMore != 0 {
		return fmt.Errorf("part of a stream with flags %#x", e.Flags)
	}
	if s.flowing == e.Gen {
		return s.pass(e)
	}
	if s.batched.Load() {
		return fmt.Errorf("part of a stream for slot %d, whose request is one of a batch", e.Slot)
	}
	if !s.armed.CompareAndSwap(e.Gen, 0) {
		return fmt.Errorf("part of a stream for slot %d, generation %d, which is not in flight", e.Slot, e.Gen)
	}
	if s.parts == nil {
		s.parts = make(chan ring.Entry, entriesPerSlot)
	}
	s.flowing, s.resp = e.Gen, *e
	s.complete(streaming)
	return nil
}

// pass hands an entry to the stream that reads s. There is always room for as
// many as the worker may send unread.
func (s *slot) pass(e *ring.Entry) error {
	if e.Flags&ring.FlagFD != 0 {
		return fmt.Errorf("part of a stream in a file")
	}
	select {
	case s.parts <- *e:
		return nil
	default:
		return fmt.Errorf("more parts of a stream than may be on their way, for slot %d", s.index)
	}
}

// stream reads the parts of a response as the worker makes them. Each part is
// given back to the worker once it has been read, so that a slow reader slows
// the function. It is used by one goroutine at a time.
type stream struct {
	in    *Instance
	s     *slot
	gen   uint32
	cur   []byte // unread of the part at hand, where it lies
	taken uint32 // parts given back
	err   error  // set once the last entry has come, and the slot is free

	mu   sync.Mutex
	over bool // the slot is free; guarded by mu
}

// Live implements runtime.LiveStream.
func (st *stream) Live() {}

// Read implements io.Reader. It returns io.EOF after the last part, an
// *event.Error if the function failed midway, and event.ErrCrashed if its worker died.
func (st *stream) Read(p []byte) (int, error) {
	for len(st.cur) == 0 {
		if st.err != nil {
			return 0, st.err
		}
		st.next()
	}
	n := copy(p, st.cur)
	if st.cur = st.cur[n:]; len(st.cur) == 0 && st.err == nil {
		st.giveBack()
	}
	return n, nil
}

// Close tells the worker that nobody reads any more, and returns when the
// function has taken note, at its next part at the latest.
func (st *stream) Close() error {
	st.Cancel()
	for st.err == nil {
		if len(st.cur) > 0 {
			st.giveBack()
		}
		st.next()
	}
	st.cur = nil
	return nil
}

// Cancel implements event.Canceller.
func (st *stream) Cancel() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.over {
		return
	}
	ring.Word(st.in.mem[st.in.slot(int(st.s.index))+slotUnwanted:]).Store(st.gen)
	st.in.bell()
}

func (st *stream) giveBack() {
	st.cur = nil
	st.taken++
	ring.Word(st.in.mem[st.in.slot(int(st.s.index))+slotTaken:]).Store(st.taken)
	st.in.bell()
}

// next waits for the next entry.
func (st *stream) next() {
	select {
	case e := <-st.s.parts:
		st.use(&e)
	case <-st.in.broken:
		select {
		case e := <-st.s.parts:
			st.use(&e)
		default:
			st.end(event.ErrCrashed)
		}
	}
}

func (st *stream) use(e *ring.Entry) {
	body := st.in.mem[e.BodyOff : e.BodyOff+uint64(e.BodyLen)]
	switch {
	case e.Flags&ring.FlagMore != 0:
		if st.cur = body; len(body) == 0 {
			st.giveBack()
		}
	case e.Flags&ring.FlagError != 0:
		st.end(&event.Error{Status: int(e.Code), Message: string(body)})
	default:
		st.cur = append([]byte(nil), body...)
		st.end(io.EOF)
	}
}

func (st *stream) end(err error) {
	st.err = err
	st.mu.Lock()
	st.over = true
	st.mu.Unlock()
	ring.Word(st.in.mem[st.in.slot(int(st.s.index))+slotTaken:]).Store(0)
	st.in.drop(st.s)
	_ = st.in.unref() // unmapping what is mapped does not fail
}

// startStream answers with the stream whose first part s has, or gathers it if
// the caller does not take streams.
func (in *Instance) startStream(s *slot, resp *event.Response) error {
	in.refs.Add(1)
	e := &s.resp
	st := &stream{in: in, s: s, gen: s.gen}
	s.scratch = append(s.scratch[:0], in.mem[e.MetaOff:e.MetaOff+uint64(e.MetaLen)]...)
	if err := s.describe(resp); err != nil {
		in.violate(err)
		_ = st.Close() // as soon as the worker is dead
		return event.ErrCrashed
	}
	resp.Status = int(e.Code)
	st.use(e)
	if resp.Takes&event.TakesStreams != 0 {
		resp.Stream = st
		return nil
	}
	return st.gather(resp)
}

func (st *stream) gather(resp *event.Response) error {
	for st.err == nil || len(st.cur) > 0 {
		if len(st.cur) == 0 {
			st.next()
			continue
		}
		if int64(len(resp.Body)+len(st.cur)) > st.in.MaxBody {
			_ = st.Close()
			resp.Body = resp.Body[:0]
			return event.Errorf(http.StatusInternalServerError, "streamed response is above the limit of %d bytes", st.in.MaxBody)
		}
		resp.Body = append(resp.Body, st.cur...)
		if st.cur = nil; st.err == nil {
			st.giveBack()
		}
	}
	if errors.Is(st.err, io.EOF) {
		return nil
	}
	resp.Body = resp.Body[:0]
	return st.err
}
