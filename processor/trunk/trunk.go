// Package trunk carries many connections on one. What several of them write at
// the same time goes in one system call, and so does what is read; a process
// that waits on a thousand of them is woken once. Each has its own flow: one
// whose reader is slow holds up none of the others. It knows nothing of what is
// said on the connections, and of who needs one.
//
// The protocol: both sides begin with [Preface]. Then come frames: a connection's
// number and, in the next four bytes, the kind and a length, both in little
// endian. The side that began the trunk opens connections, in rising numbers.
// Each may have [window] bytes under way that its reader has not taken.
package trunk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Preface is what both sides say first. No HTTP begins with its first byte, and
// so nobody is led into it by what a proxy passes on.
const Preface = "\x00myelin trunk 1\n"

const (
	window    = 256 << 10
	mostFrame = 32 << 10
	header    = 8
	lastID    = 1 << 31 // then another trunk is due
	mostConns = 4096
	keptOut   = 1 << 20 // of memory
)

// The kinds of a frame. Only data has bytes behind it.
const (
	data   = iota
	opened // the connection begins
	ended  // nothing more is said on it, nor read
	credit // the length is what was taken by its reader
	leave  // open no more
)

// Errors of Open: none can be opened any more, or there are too many now.
var (
	ErrLeft = errors.New("the trunk takes no more connections")
	ErrFull = errors.New("the trunk has all the connections that it carries")
)

// Trunk is one end. Its life: New; Run on a goroutine of its own; Close, from
// any, or the other end's, which end what is on it.
type Trunk struct {
	nc     net.Conn
	raw    syscall.RawConn // nil: it is no socket
	accept func(*Conn)
	settle func()

	mu    sync.Mutex
	conns map[uint32]*Conn
	last  uint32 // number that was opened
	left  bool   // no more are opened

	write   sync.Mutex
	out     []byte // to be sent
	spare   []byte
	busy    bool // somebody sends
	broken  bool
	sending sync.WaitGroup
	try     func(fd uintptr) bool // sends some of trial
	trial   []byte
	tried   int
}

// New returns an end of the trunk on nc, whose prefaces have been exchanged.
// accept gets each connection that the other side opens, and must not wait; nil
// on the side that opens them.
func New(nc net.Conn, accept func(*Conn)) *Trunk {
	t := &Trunk{nc: nc, accept: accept, settle: func() {}, conns: map[uint32]*Conn{}}
	if sys, ok := nc.(syscall.Conn); ok {
		if raw, err := sys.SyscallConn(); err == nil {
			t.raw = raw
		}
	}
	t.try = func(fd uintptr) bool {
		t.tried, _ = syscall.Write(int(fd), t.trial) // what is wrong the next write says
		return true
	}
	return t
}

// Greet is for the side that begins a trunk on nc: it says the preface and waits
// for the other's. An error means that nc leads to somebody else.
func Greet(nc net.Conn, wait time.Duration) error {
	if err := nc.SetDeadline(time.Now().Add(wait)); err != nil {
		return fmt.Errorf("begin trunk: %w", err)
	}
	if _, err := io.WriteString(nc, Preface); err != nil {
		return fmt.Errorf("begin trunk: %w", err)
	}
	var b [len(Preface)]byte
	if _, err := io.ReadFull(nc, b[:]); err != nil {
		return fmt.Errorf("begin trunk: %w", err)
	}
	if string(b[:]) != Preface {
		return errors.New("begin trunk: the other side does not know it")
	}
	return nc.SetDeadline(time.Time{})
}

// Open begins a connection. It waits for nothing.
func (t *Trunk) Open() (*Conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.left || t.last >= lastID:
		return nil, ErrLeft
	case len(t.conns) >= mostConns:
		return nil, ErrFull
	}
	t.last++
	c := t.enter(t.last)
	t.write.Lock() // numbers rise on the wire
	t.out = appendFrame(t.out, c.id, opened, 0)
	t.write.Unlock()
	return c, nil
}

func (t *Trunk) enter(id uint32) *Conn {
	c := newConn(t, id)
	t.conns[id] = c
	return c
}

// Leave tells the other side to open no more connections. Those there are go on.
func (t *Trunk) Leave() { t.send(0, leave, 0) }

// Retire is for the side that opens: it opens no more, and the trunk ends with
// the last of its connections. The other side's Leave does the same.
func (t *Trunk) Retire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = true
	t.endIfEmpty()
}

func (t *Trunk) endIfEmpty() {
	if t.left && t.accept == nil && len(t.conns) == 0 {
		_ = t.nc.Close() // Run returns
	}
}

// Unused says that all connections that were opened have ended.
func (t *Trunk) Unused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last > 0 && len(t.conns) == 0
}

// Len is how many connections are on the trunk.
func (t *Trunk) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// Close ends the trunk, and Run.
func (t *Trunk) Close() error { return t.nc.Close() }

// Run reads until the trunk ends, and says why, or nil if the other side closed
// it. All its connections have ended then.
func (t *Trunk) Run() error {
	err := t.read()
	t.write.Lock()
	t.broken = true
	t.write.Unlock()
	_ = t.nc.Close() // the other side may have
	t.sending.Wait()
	t.mu.Lock()
	t.left = true
	for _, c := range t.conns {
		c.lose()
	}
	t.mu.Unlock()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (t *Trunk) read() error {
	buf, have := make([]byte, 2*(mostFrame+header)), 0
	for {
		n, err := t.nc.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		used, err := t.frames(buf[:have])
		t.settle()
		if err != nil {
			return err
		}
		have = copy(buf, buf[used:have])
	}
}

// frames does what all whole frames in b say, and returns their length.
func (t *Trunk) frames(b []byte) (used int, err error) {
	for used+header <= len(b) {
		id, kind, length := frame(b[used:])
		if kind != data {
			if err := t.heed(id, kind, length); err != nil {
				return used, err
			}
			used += header
			continue
		}
		if length > mostFrame {
			return used, fmt.Errorf("read trunk: a frame of %d bytes", length)
		}
		to := used + header + length
		if to > len(b) {
			break
		}
		if c := t.conn(id); c != nil && !c.push(b[used+header:to]) {
			return used, errors.New("read trunk: more bytes than were asked for")
		}
		used = to
	}
	return used, nil
}

func (t *Trunk) conn(id uint32) *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conns[id]
}

// heed does what a frame without bytes says. Frames of connections that have
// been closed here are late, and mean nothing.
func (t *Trunk) heed(id uint32, kind, length int) error {
	switch kind {
	case opened:
		return t.begin(id)
	case leave:
		t.Retire()
		return nil
	}
	c := t.conn(id)
	switch {
	case kind != ended && kind != credit:
		return fmt.Errorf("read trunk: a frame of kind %d", kind)
	case c == nil:
	case kind == ended:
		c.lose()
	case !c.credited(length):
		return errors.New("read trunk: more was taken than was sent")
	}
	return nil
}

func (t *Trunk) begin(id uint32) error {
	t.mu.Lock()
	if t.accept == nil || id <= t.last || len(t.conns) >= mostConns {
		t.mu.Unlock()
		return errors.New("read trunk: a connection that cannot be opened")
	}
	t.last = id
	c := t.enter(id)
	t.mu.Unlock()
	t.accept(c)
	return nil
}

func (t *Trunk) drop(id uint32) {
	t.mu.Lock()
	delete(t.conns, id)
	t.endIfEmpty()
	t.mu.Unlock()
}

func appendFrame(b []byte, id uint32, kind, length int) []byte {
	b = binary.LittleEndian.AppendUint32(b, id)
	return binary.LittleEndian.AppendUint32(b, uint32(kind)<<24|uint32(length))
}

func frame(b []byte) (id uint32, kind, length int) {
	v := binary.LittleEndian.Uint32(b[4:])
	return binary.LittleEndian.Uint32(b), int(v >> 24), int(v & 0xffffff)
}

// send sends a frame without bytes.
func (t *Trunk) send(id uint32, kind, length int) {
	t.write.Lock()
	t.out = appendFrame(t.out, id, kind, length)
	t.flush()
}

// sendData sends p.
func (t *Trunk) sendData(id uint32, p []byte) {
	t.write.Lock()
	t.add(id, p)
	t.flush()
}

// add puts p behind what is to be sent. write is locked.
func (t *Trunk) add(id uint32, p []byte) {
	for len(p) > 0 {
		n := min(len(p), mostFrame)
		t.out = append(appendFrame(t.out, id, data, n), p[:n]...)
		p = p[n:]
	}
}

// flush sees to it that what is in out is sent, and unlocks write. If nobody
// sends, the caller does, after those goroutines had their turn that are ready:
// they may have something to send as well. It never waits for the other side:
// if the socket is full, a goroutine is left with the rest.
func (t *Trunk) flush() {
	if t.busy || t.broken {
		t.write.Unlock()
		return
	}
	t.busy = true
	t.write.Unlock()
	runtime.Gosched()
	t.write.Lock()
	t.drain(false)
}

// drain sends until nothing is left, and unlocks write.
func (t *Trunk) drain(wait bool) {
	for len(t.out) > 0 && !t.broken {
		b := t.out
		t.out = t.spare[:0]
		t.spare = nil
		t.write.Unlock()
		n := 0
		if !wait {
			n = t.attempt(b)
		} else if _, err := t.nc.Write(b); err != nil {
			_ = t.nc.Close() // Run says so
		} else {
			n = len(b)
		}
		t.write.Lock()
		if n < len(b) {
			t.detach(b[n:], wait)
			t.write.Unlock()
			return
		}
		if cap(b) <= keptOut {
			t.spare = b
		}
	}
	t.busy = false
	t.write.Unlock()
}

// detach has a goroutine send rest and what is added meanwhile; after an error
// nobody does.
func (t *Trunk) detach(rest []byte, failed bool) {
	if failed || t.broken {
		t.broken = true
		return
	}
	t.sending.Go(func() {
		if _, err := t.nc.Write(rest); err != nil {
			_ = t.nc.Close() // Run says so
		}
		t.write.Lock()
		t.drain(true)
	})
}

// attempt sends what the socket takes at once.
func (t *Trunk) attempt(b []byte) int {
	if t.raw == nil {
		return 0
	}
	t.trial, t.tried = b, 0
	err := t.raw.Write(t.try)
	t.trial = nil
	if err != nil {
		return 0
	}
	return max(t.tried, 0)
}
