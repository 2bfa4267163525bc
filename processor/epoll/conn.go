package epoll

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostFree is how many buffers are kept that nobody has.
const mostFree = 1024

// Take makes a descriptor of nc, which it closes: Go's poller would wake for
// each byte otherwise. False: nc is no socket, or there is no descriptor to be
// had; then nc is as it was.
func Take(nc net.Conn) (fd int, ok bool) {
	sys, ok := nc.(syscall.Conn)
	if !ok {
		return -1, false
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return -1, false
	}
	var failed error
	err = raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if err != nil || failed != nil {
		return -1, false
	}
	_ = nc.Close()
	return fd, true
}

// Give makes a connection of fd, which it closes.
func Give(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("give connection to a goroutine: %w", err) // out of descriptors
	}
	return nc, nil
}

// Inlet reads a connection that the set says has something.
type Inlet struct {
	Buf    []byte // what came and is not used
	Unread bool   // there may be more to read
	HungUp bool   // the other end will send no more
}

// Heard notes what the set says.
func (in *Inlet) Heard(hungUp bool) {
	in.Unread = true
	in.HungUp = in.HungUp || hungUp
}

// Fill reads once into Buf's spare capacity, of which there must be some. It
// returns how many bytes came; ended says that no more will.
func (in *Inlet) Fill(fd int) (n int, ended bool) {
	room := in.Buf[len(in.Buf):cap(in.Buf)]
	n, err := syscall.Read(fd, room) // of which the race detector knows what it orders
	switch {
	case err == syscall.EINTR:
		return 0, false
	case err == syscall.EAGAIN:
		in.Unread = false
		return 0, false
	case err != nil || n <= 0:
		return 0, true
	}
	in.Unread = n == len(room) || in.HungUp
	in.Buf = in.Buf[:len(in.Buf)+n]
	return n, false
}

// Grow has room in Buf for at least a byte: a buffer of the usual size, or one
// of want bytes if as many are known to come. It returns false if Buf is full and
// nobody knows how many.
func (in *Inlet) Grow(from *Buffers, want int) bool {
	switch {
	case in.Buf == nil:
		in.Buf = from.Get()
	case len(in.Buf) < cap(in.Buf):
	case want > len(in.Buf):
		in.Buf = append(make([]byte, 0, want), in.Buf...)
	default:
		return false
	}
	return true
}

// Use drops the first n bytes, which were used.
func (in *Inlet) Use(n int) { in.Buf = in.Buf[:copy(in.Buf, in.Buf[n:])] }

// Buffers are empty buffers of one size that are used again.
type Buffers struct {
	Size int
	free [][]byte
}

// Get returns an empty buffer.
func (b *Buffers) Get() []byte {
	n := len(b.free) - 1
	if n < 0 {
		return make([]byte, 0, b.Size)
	}
	buf := b.free[n]
	b.free[n] = nil
	b.free = b.free[:n]
	return buf
}

// Put takes a buffer back, unless it is of another size.
func (b *Buffers) Put(buf []byte) {
	if cap(buf) == b.Size && len(b.free) < mostFree {
		b.free = append(b.free, buf[:0])
	}
}
