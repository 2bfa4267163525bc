package trunk

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// keptIn is how much memory a connection without unread bytes keeps.
const keptIn = 32 << 10

// Conn is one connection of a trunk. One goroutine may read and one write at a
// time; the rest may be called from any.
type Conn struct {
	t  *Trunk
	id uint32

	mu     sync.Mutex
	in     []byte // came; those up to at were read
	at     int
	taken  int // read, and not told to the other side
	room   int // what may be sent
	over   bool
	closed bool
	to     Receiver // has what comes, instead of Read; nil: nobody
	read   turn
	write  turn
}

// turn is what a reader or a writer waits for.
type turn struct {
	waits bool
	wake  chan struct{}
	until time.Time
	late  bool
	timer *time.Timer
}

func newConn(t *Trunk, id uint32) *Conn {
	return &Conn{t: t, id: id, room: window, read: turn{wake: make(chan struct{}, 1)}, write: turn{wake: make(chan struct{}, 1)}}
}

// call wakes who waits. The connection is locked.
func (t *turn) call() {
	if t.waits {
		t.waits = false
		t.wake <- struct{}{}
	}
}

// push takes bytes that came. False: they are more than was allowed.
func (c *Conn) push(p []byte) bool {
	c.mu.Lock()
	if len(c.in)-c.at+len(p) > window {
		c.mu.Unlock()
		return false
	}
	if c.to != nil && c.at == len(c.in) {
		c.keep(p[c.hand(p, false):]) // most is never copied
	} else {
		c.keep(p)
		if c.to != nil {
			c.drop(c.hand(c.in[c.at:], false))
		}
	}
	c.read.call()
	tell := c.due()
	c.mu.Unlock()
	if tell > 0 {
		c.t.send(c.id, credit, tell)
	}
	return true
}

func (c *Conn) keep(p []byte) {
	if c.at > 0 && len(c.in)+len(p) > cap(c.in) {
		c.in = c.in[:copy(c.in, c.in[c.at:])]
		c.at = 0
	}
	c.in = append(c.in, p...)
}

// drop drops n bytes that were kept.
func (c *Conn) drop(n int) {
	c.at += n
	if c.at == len(c.in) {
		c.at, c.in = 0, c.in[:0]
		if cap(c.in) > keptIn {
			c.in = nil
		}
	}
}

// due is how much the other side is to be told was taken, now and then.
func (c *Conn) due() (tell int) {
	if c.taken >= window/2 && !c.over {
		tell, c.taken = c.taken, 0
	}
	return tell
}

// lose ends the connection as the other side wants it.
func (c *Conn) lose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.end(&c.read)
	c.write.call()
}

// end says that nothing more is to be waited for.
func (c *Conn) end(t *turn) {
	if t == &c.read && c.to != nil {
		c.drop(c.hand(c.in[c.at:], true))
	}
	t.call()
}

func (c *Conn) credited(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room += n
	c.write.call()
	return c.room <= window
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	for {
		c.mu.Lock()
		switch {
		case c.closed:
			c.mu.Unlock()
			return 0, net.ErrClosed
		case c.read.late:
			c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0 || c.at < len(c.in):
			return c.take(p), nil
		case c.over:
			c.mu.Unlock()
			return 0, io.EOF
		}
		c.read.waits = true
		c.mu.Unlock()
		<-c.read.wake
	}
}

// take reads what is there, tells the other side now and then, and unlocks.
func (c *Conn) take(p []byte) int {
	n := copy(p, c.in[c.at:])
	c.drop(n)
	c.taken += n
	tell := c.due()
	c.mu.Unlock()
	if tell > 0 {
		c.t.send(c.id, credit, tell)
	}
	return n
}

// Write implements [net.Conn]. What it took may be on its way still.
func (c *Conn) Write(p []byte) (int, error) {
	done := 0
	for {
		n, err := c.reserve(len(p) - done)
		if err != nil {
			return done, err
		}
		if n > 0 {
			c.t.sendData(c.id, p[done:done+n])
			done += n
		}
		if done == len(p) {
			return done, nil
		}
	}
}

// reserve waits until some of n bytes may be sent.
func (c *Conn) reserve(n int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.write.late:
			return 0, os.ErrDeadlineExceeded
		case c.over:
			return 0, syscall.EPIPE
		case n == 0 || c.room > 0:
			n = min(n, c.room)
			c.room -= n
			return n, nil
		}
		c.write.waits = true
		c.mu.Unlock()
		<-c.write.wake
		c.mu.Lock()
	}
}

// Close implements [net.Conn]. What was written before still goes out.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed, c.to = true, nil
	c.read.end()
	c.write.end()
	c.mu.Unlock()
	c.t.drop(c.id)
	c.t.send(c.id, ended, 0)
	return nil
}

func (t *turn) end() {
	t.call()
	if t.timer != nil {
		t.timer.Stop()
	}
}

// Gone reports whether the other side has closed the connection, with nothing
// sent that was not read.
func (c *Conn) Gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over && c.at == len(c.in)
}

// Quiet reports whether the connection is open at both ends and nothing is
// there to be read.
func (c *Conn) Quiet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.over && !c.closed && c.at == len(c.in)
}

// LocalAddr implements [net.Conn] with the trunk's.
func (c *Conn) LocalAddr() net.Addr { return c.t.nc.LocalAddr() }

// RemoteAddr implements [net.Conn] with the trunk's.
func (c *Conn) RemoteAddr() net.Addr { return c.t.nc.RemoteAddr() }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(at time.Time) error {
	if err := c.set(&c.read, at); err != nil {
		return err
	}
	return c.set(&c.write, at)
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(at time.Time) error { return c.set(&c.read, at) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(at time.Time) error { return c.set(&c.write, at) }

func (c *Conn) set(t *turn, at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	t.until, t.late = at, false
	wait := time.Until(at)
	switch {
	case at.IsZero():
		if t.timer != nil {
			t.timer.Stop()
		}
	case wait <= 0:
		t.late = true
		c.end(t)
	case t.timer == nil:
		t.timer = time.AfterFunc(wait, func() { c.expire(t) })
	default:
		t.timer.Reset(wait)
	}
	return nil
}

// expire ends a wait whose deadline is over, unless it was moved.
func (c *Conn) expire(t *turn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !t.until.IsZero() && !time.Now().Before(t.until) {
		t.late = true
		c.end(t)
	}
}
