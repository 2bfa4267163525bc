package http

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/processor/trunk"
)

const (
	lastLook     = 2 * time.Millisecond // for a request that came as we close
	discardTime  = time.Second          // see conn.Close
	discardBytes = 8 << 20
)

// conn is a client's connection. Beyond a net.Conn it knows in which phase of a
// request it is and since when, and closes without losing the last response.
// All but the atomics is used by the connection's goroutine alone.
//
// Timeouts are found by the server's sweep, which compares those times with a
// coarse clock and interrupts what took too long: setting deadlines for every
// request would read a clock three times for each.
type conn struct {
	net.Conn
	s      *server
	at     atomic.Int64 // phase and tick at which it began; see enter
	served bool         // a request has been answered
	early  bool         // answered before the whole request was read
	left   atomic.Bool  // Close has begun
	begun  bool         // a byte of it was read
	known  bool         // fasthttp has begun to read it
	lead   []byte       // what was read of the beginning of a trunk, or of HTTP/2; nil: it is neither
	h2     bool         // it is the latter
	socket *socket      // that it becomes; nil: none
	trunk  *trunk.Trunk // that it became; the server's lock is held for it
	had    []byte       // what a loop has read of the next requests

	stream atomic.Pointer[streamed] // the response that is on its way, if the function still makes it
}

// The phases of a connection.
const (
	idle    = iota // between requests
	reading        // a byte of a request came, not yet all of them
	running        // the request is answered
	writing        // the response is written
	phases
)

func (c *conn) enter(phase int64) { c.at.Store(c.s.ticks.Load()*phases + phase) }

// again waits for the next request, of which some may be there.
func (c *conn) again() {
	c.served = true
	if len(c.had) > 0 {
		c.enter(reading)
	} else {
		c.enter(idle)
	}
}

func (c *conn) phase() int64 { return c.at.Load() % phases }

// over reports whether the present phase has lasted longer than it may.
func (c *conn) over() bool {
	at := c.at.Load()
	limit := c.s.limits[at%phases]
	return limit > 0 && c.s.ticks.Load()-at/phases >= limit
}

// interrupt makes the read or write that waits return.
func (c *conn) interrupt() {
	if c.phase() == writing {
		_ = c.SetWriteDeadline(past)
		return
	}
	_ = c.SetReadDeadline(past)
}

// past is a deadline that is over; none takes one away.
var past, none = time.Unix(1, 0), time.Time{}

// Read reads some of a request. For a connection without one, io.EOF says also
// that its time is over.
func (c *conn) Read(b []byte) (int, error) {
	for {
		n, err := c.some(b)
		if n > 0 {
			if c.phase() == idle {
				c.enter(reading)
			}
			if first := !c.begun; first {
				c.begun = true
				n = c.fill(b, n)
				if c.leads(b[:n]) {
					return 0, io.EOF
				}
			}
			return n, err
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		idles := c.phase() == idle
		switch {
		case idles && c.s.closing.Load():
			return c.look(b)
		case c.over() && idles:
			return 0, io.EOF
		case c.over():
			return n, err
		}
		if err := c.SetReadDeadline(none); err != nil { // a request came as its time was nearly over
			return 0, err
		}
	}
}

// some reads what a loop has read before, or else from the client.
func (c *conn) some(b []byte) (int, error) {
	if len(c.had) > 0 {
		n := copy(b, c.had)
		c.had = c.had[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// look reads a request that has come in the meantime; io.EOF if there is none.
func (c *conn) look(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(lastLook)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.enter(reading)
		_ = c.SetReadDeadline(none)
		return n, err
	}
	return 0, io.EOF
}

// Write writes all of b, and gives up when no byte moved for WriteTimeout.
func (c *conn) Write(b []byte) (int, error) {
	c.enter(writing)
	done := 0
	for {
		n, err := c.Conn.Write(b[done:])
		done += n
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 && c.over() {
			if err == nil {
				c.enter(running) // a stream may take its time for the next part
			}
			return done, err
		}
		if n > 0 {
			c.enter(writing)
		}
		if err := c.SetWriteDeadline(none); err != nil {
			return done, err
		}
	}
}

// Close closes the connection. If the client may still be sending, it first
// reads that away for a while: closing with bytes unread would reset the
// connection, and the client would lose the response.
func (c *conn) Close() error {
	if c.lead != nil {
		return nil // it goes on, as what it began as
	}
	c.left.Store(true)
	if c.early || c.s.draining.Load() && (c.served || c.phase() != idle) {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = c.SetReadDeadline(time.Now().Add(discardTime))
			_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, discardBytes)) // whatever ends it
		}
	}
	return c.Conn.Close()
}

// connState follows whether a connection is in a request. The first request that
// fasthttp has of a connection begins with its first byte, which Read sees: that it
// is active, fasthttp says before.
func connState(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case fasthttp.StateIdle:
		c.served, c.known = true, true
		c.enter(idle)
	case fasthttp.StateActive:
		if c.known { // else Read has seen the first byte, or will
			c.enter(reading)
		}
		c.known = true
	}
}
