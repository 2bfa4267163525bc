package redisclient

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialer is the client's own, whose connections ask the system for less: the client
// sets three deadlines for each command, and asks each connection whether it is
// there before it uses it. What has TLS stays as it is.
func dialer(o *redis.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := redis.NewDialer(o)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return frugal(nc), nil
	}
}

// conn is a connection whose deadlines are kept, but given to the system only when
// one comes that is earlier than that which the system has. One that is over
// before its time is found by the read or write that it interrupts, which goes on.
type conn struct {
	net.Conn
	raw   syscall.RawConn
	heard atomic.Int64 // when something was read, as of epoch
	read  deadline
	write deadline
}

// fresh is how long after its last answer a connection is taken to be there.
const fresh = time.Millisecond

var epoch = time.Now()

// frugal returns nc itself if it is not the system's own.
func frugal(nc net.Conn) net.Conn {
	system, ok := nc.(syscall.Conn)
	if !ok {
		return nc
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nc // it is broken, as its first use says
	}
	c := &conn{Conn: nc, raw: raw}
	c.read.give, c.write.give = nc.SetReadDeadline, nc.SetWriteDeadline
	return c
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if n > 0 {
			c.heard.Store(int64(time.Since(epoch)))
		}
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || c.read.over() {
			return n, err
		}
	}
}

// Write implements [net.Conn].
func (c *conn) Write(b []byte) (done int, err error) {
	for {
		n, err := c.Conn.Write(b[done:])
		if done += n; !errors.Is(err, os.ErrDeadlineExceeded) || c.write.over() {
			return done, err
		}
	}
}

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.read.set(t), c.write.set(t))
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error { return c.read.set(t) }

// SetWriteDeadline implements [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error { return c.write.set(t) }

// SyscallConn implements [syscall.Conn], by which the client asks whether the
// connection is there.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if at := c.heard.Load(); at > 0 && time.Since(epoch)-time.Duration(at) < fresh {
		return there{c.raw}, nil
	}
	return c.raw, c.read.now() // else one that is over would be taken for the connection's end
}

// there is a connection that was heard of a moment ago.
type there struct{ syscall.RawConn }

// Read implements [syscall.RawConn]: nothing is looked at.
func (there) Read(func(uintptr) bool) error { return nil }

// deadline is one that is kept, and one that the system has, which is never later.
type deadline struct {
	mu   sync.Mutex
	kept time.Time // zero: none
	has  time.Time
	give func(time.Time) error
}

func (d *deadline) set(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kept = t
	if t.IsZero() || !d.has.IsZero() && !t.Before(d.has) {
		return nil
	}
	d.has = t
	return d.give(t)
}

// now gives the system what is kept.
func (d *deadline) now() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.has.Equal(d.kept) {
		return nil
	}
	d.has = d.kept
	return d.give(d.kept)
}

// over reports whether the deadline is over, of which the system says so. If it is
// not, the system gets it anew.
func (d *deadline) over() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.kept.IsZero() && time.Until(d.kept) <= 0 {
		return true
	}
	d.has = d.kept
	return d.give(d.kept) != nil
}
