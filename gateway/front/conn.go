package front

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/gateway/wire"
)

const (
	firstBuffer = 8 << 10
	mostOut     = 16 << 10 // kept of an answer before it is sent
	lastLook    = 2 * time.Millisecond
	discardTime = time.Second
	discardMost = 8 << 20
)

// The phases of a connection.
const (
	idle    = iota // between requests
	heading        // a byte of a request came, not yet the whole head
	running        // the request is answered
	writing        // a part of the answer is written
	phases
)

// conn is a client's HTTP/1.1 connection. All but the atomics is its
// goroutine's own, save that while a request is answered another one may read
// the body.
//
// Timeouts are found by the server's sweep, which compares phases with a coarse
// clock and interrupts what took too long.
type conn struct {
	net.Conn
	raw   net.Conn // without TLS
	s     *Server
	at    atomic.Int64 // phase, and tick at which it began
	body  atomic.Int64 // tick from which on a byte of the body is waited for; 0: none is
	quit  atomic.Bool  // it is closed
	tun   atomic.Bool  // it speaks HTTP no more
	torn  atomic.Bool  // no body is read any more
	br    *bufio.Reader
	head  []byte
	out   []byte
	call  Call
	left  int64 // of the answer's body; or wire.Chunked, wire.TillEOF
	close bool  // after this answer
	full  bool  // the request has been read whole
	kept  bool  // a loop has it, and writes what is in out
	stay  int   // calls until it may go to a loop
	term  int   // what stay began with
}

func newConn(s *Server, nc, raw net.Conn) *conn {
	c := &conn{Conn: nc, raw: raw, s: s}
	c.enter(idle)
	c.call.Peer = peerOf(raw)
	c.call.TLS = nc != raw
	c.call.want = c.want
	c.call.cut = c.cut
	c.call.hijack = c.hijack
	return c
}

func peerOf(nc net.Conn) string {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		return ""
	}
	return host
}

func (c *conn) enter(phase int64) { c.at.Store(c.s.ticks.Load()*phases + phase) }

func (c *conn) phase() int64 { return c.at.Load() % phases }

// over reports whether the present phase, or the wait for the body, has lasted
// longer than it may.
func (c *conn) over() bool {
	at, now := c.at.Load(), c.s.ticks.Load()
	if limit := c.s.limits[at%phases]; limit > 0 && now-at/phases >= limit {
		return true
	}
	since := c.body.Load()
	return since > 0 && now-since >= c.s.limits[heading]+c.s.limits[writing]
}

// interrupt makes the read or write that waits return.
func (c *conn) interrupt() {
	if c.phase() == writing {
		_ = c.SetWriteDeadline(past)
		return
	}
	_ = c.SetReadDeadline(past)
}

var past, none = time.Unix(1, 0), time.Time{}

// Read reads some of a request. For a connection without one, io.EOF says also
// that its time is over.
func (c *conn) Read(b []byte) (int, error) {
	inBody := c.phase() >= running
	if inBody {
		c.body.Store(max(c.s.ticks.Load(), 1))
		defer c.body.Store(0)
	}
	for {
		n, err := c.Conn.Read(b)
		if n > 0 {
			if c.phase() == idle {
				c.enter(heading)
			}
			return n, nil
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
		case c.over(), c.torn.Load(), c.s.ended.Load():
			return 0, err
		}
		if err := c.SetReadDeadline(none); err != nil { // its time was nearly over
			return 0, err
		}
	}
}

// look reads a request that has come in the meantime; io.EOF if there is none.
func (c *conn) look(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(lastLook)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.enter(heading)
		_ = c.SetReadDeadline(none)
		return n, err
	}
	return 0, io.EOF
}

// write writes all of b, and gives up when no byte moved for the write timeout.
func (c *conn) write(b []byte) error {
	c.enter(writing)
	done := 0
	for {
		n, err := c.Write(b[done:])
		done += n
		if err == nil {
			c.enter(running)
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 && c.over() || c.s.ended.Load() || c.Conn != c.raw {
			return err
		}
		if n > 0 {
			c.enter(writing)
		}
		if err := c.SetWriteDeadline(none); err != nil {
			return err
		}
	}
}

// run serves the connection until it ends or a loop has it: then it is not the
// caller's any more, and run returns false.
func (c *conn) run(br *bufio.Reader) (own bool) {
	c.br = br
	if c.s.Engine == Loops && c.mayLoop() && c.leave() {
		return false
	}
	return c.goOn(true)
}

// goOn serves further requests if there may be more.
func (c *conn) goOn(more bool) (own bool) {
	for more {
		if more = c.next(); more && c.mayLoop() && c.leave() {
			return false
		}
	}
	c.finish()
	return true
}

// next serves one request and says whether another may come.
func (c *conn) next() bool {
	if c.br.Buffered() == 0 {
		c.enter(idle)
	} else if c.phase() != heading { // else a loop has waited for the rest of it
		c.enter(heading)
	}
	head, err := c.readHead()
	if err == nil {
		c.head = head
		err = c.call.Req.Parse(head)
	}
	if err != nil {
		return c.broken(err)
	}
	c.call.Body.Reset(c.br, c.call.Req.Length)
	c.close, c.full, c.left = c.call.Req.Close || c.s.draining.Load(), false, 0
	c.enter(running)
	c.call.begin((*answer)(c), time.Now())
	c.s.handler.Serve(&c.call)
	return c.after()
}

// readHead grows the buffer if the head needs it and may.
func (c *conn) readHead() ([]byte, error) {
	for {
		head, err := wire.ReadHead(c.br, c.head[:0])
		if !errors.Is(err, bufio.ErrBufferFull) || c.br.Size() >= c.s.MaxHeader {
			return head, err
		}
		had, _ := c.br.Peek(c.br.Buffered()) // they are there
		c.br = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(had)), c), c.s.MaxHeader)
	}
}

// after says whether the connection can be used again.
func (c *conn) after() bool {
	switch {
	case c.tun.Load():
		return false
	case !c.call.ended || c.call.aborted:
		c.reset()
		return false
	}
	if !c.call.Body.Done() {
		if _, ready := c.call.Body.Ready(); ready {
			c.call.Body.Take()
		} else {
			c.close = true
		}
	}
	c.full = c.call.Body.Done()
	if cap(c.out) > 4*mostOut {
		c.out = nil
	}
	return !c.close
}

// reset closes at once, without the end of an answer that is not whole.
func (c *conn) reset() {
	if tcp, ok := c.raw.(*net.TCPConn); ok && c.call.started {
		_ = tcp.SetLinger(0)
	}
	c.full = true
	c.quit.Store(true)
	_ = c.raw.Close()
}

// broken answers a request that could not be read.
func (c *conn) broken(err error) bool {
	var wrong *wire.Error
	var netErr net.Error
	status, detail := 0, ""
	switch {
	case errors.As(err, &wrong):
		status, detail = wrong.Status, wrong.Detail
	case errors.Is(err, bufio.ErrBufferFull):
		status, detail = 431, "the request's headers are too large"
	case errors.As(err, &netErr) && netErr.Timeout() && c.phase() == heading:
		status, detail = 408, "the request did not arrive in time"
	default:
		return false // the client has gone, or its time is over
	}
	c.close, c.full = true, false
	c.call.Req.Method = nil
	c.call.begin((*answer)(c), time.Now())
	c.call.Note.Own = true
	c.call.Reply(status, problem(status, detail), F("Content-Type", "application/problem+json"))
	c.s.handler.Broken(&c.call)
	return false
}

// finish closes the connection. If the client may still be sending, what it
// sends is read away for a while: closing with bytes unread would reset the
// connection, and the client would lose the answer.
func (c *conn) finish() {
	if c.tun.Load() || c.quit.Swap(true) {
		return
	}
	if c.call.started && (!c.full || c.s.draining.Load()) {
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			_ = c.SetReadDeadline(time.Now().Add(discardTime))
			_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, discardMost)) // whatever ends it
		}
	}
	_ = c.Close()
}

// cut ends the reading of the body, and with it the use of the connection.
func (c *conn) cut() {
	c.torn.Store(true)
	_ = c.SetReadDeadline(past)
}

func (c *conn) want() error { return c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n")) }

// tunnel reads first what was read already.
type tunnel struct {
	net.Conn
	br *bufio.Reader
	c  *conn
}

func (t *tunnel) Read(p []byte) (int, error) { return t.br.Read(p) }

func (t *tunnel) Close() error {
	t.c.s.drop(t.c)
	return t.Conn.Close()
}

func (c *conn) hijack() (Tunnel, error) {
	if err := (*answer)(c).Flush(); err != nil {
		return nil, err
	}
	c.tun.Store(true)
	c.enter(running)
	return &tunnel{c.Conn, c.br, c}, nil
}
