// Package port is the listening of triggers that have a port of their own: the
// processors of a function share it, old and new, no other function can have it,
// connections are bounded, and a drain takes what is in the queue before it
// closes. It knows no protocol.
package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// acceptGap without a new connection ends the last call of a drain.
	acceptGap = 5 * time.Millisecond
	// acceptLast bounds the last call under a load that leaves no gap.
	acceptLast = 100 * time.Millisecond
)

// Options say what to listen on, and who does.
type Options struct {
	// Given is a socket that listens already; nil for one of Host and Port.
	Given net.Listener
	Host  string
	Port  int // 0 for one that the system picks
	// Max is how many connections there may be at once; another one is closed.
	Max int

	Namespace, Function string // whose the port is
}

// Listener implements [net.Listener].
type Listener struct {
	net.Listener
	max   int
	mu    sync.Mutex
	conns map[*conn]struct{}
	last  atomic.Pointer[time.Time] // of accepting; nil: for ever
	claim net.PacketConn            // nil if there is none
}

// Listen opens the port. The caller releases it.
func Listen(o Options) (*Listener, error) {
	l := &Listener{Listener: o.Given, max: o.Max, conns: map[*conn]struct{}{}}
	if l.Listener != nil {
		return l, nil
	}
	address := net.JoinHostPort(o.Host, strconv.Itoa(o.Port))
	if o.Port != 0 {
		var err error
		if l.claim, err = claim(o.Port, o.Namespace, o.Function); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
	}
	// The processors of a function, old and new, share the port.
	conf := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); cerr != nil {
			return cerr
		}
		return err
	}}
	var err error
	if l.Listener, err = conf.Listen(context.Background(), "tcp", address); err != nil {
		l.Release()
		return nil, fmt.Errorf("listen on %s: %w", address, Cause(err))
	}
	return l, nil
}

// Cause strips what the net package says again: the address and "listen".
func Cause(err error) error {
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	for {
		if last := l.last.Load(); last != nil && l.soon(*last) != nil {
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		switch {
		case err != nil && l.last.Load() != nil && errors.Is(err, os.ErrDeadlineExceeded):
			return nil, net.ErrClosed
		case err != nil:
			return nil, err
		}
		if own, ok := l.count(c); ok {
			return own, nil
		}
		_ = c.Close() // the client sees as much
	}
}

// count takes c in, unless there are too many.
func (l *Listener) count(c net.Conn) (*conn, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) >= l.max {
		return nil, false
	}
	own := &conn{c, l}
	l.conns[own] = struct{}{}
	return own, true
}

// Cut closes every connection, also those that have not said anything yet, which
// the server would wait for.
func (l *Listener) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Conn.Close() // whoever reads sees it
	}
}

// LastCall has Accept end when the queue has been empty for a moment.
func (l *Listener) LastCall() {
	last := time.Now().Add(acceptLast)
	l.last.Store(&last)
	if l.soon(last) != nil {
		_ = l.Close() // it cannot be asked for what is in its queue
	}
}

// soon has the next accept end after a gap.
func (l *Listener) soon(last time.Time) error {
	d, ok := l.Listener.(interface{ SetDeadline(t time.Time) error })
	if !ok {
		return errors.ErrUnsupported
	}
	gap := time.Now().Add(acceptGap)
	if gap.After(last) {
		gap = last
	}
	return d.SetDeadline(gap)
}

// Release closes the port, if it is not, and gives up the claim to it.
func (l *Listener) Release() {
	if l.Listener != nil {
		_ = l.Close() // it may be closed
	}
	if l.claim != nil {
		_ = l.claim.Close()
	}
}

// conn is counted until it is closed.
type conn struct {
	net.Conn
	l *Listener
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.l.mu.Lock()
	delete(c.l.conns, c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}
