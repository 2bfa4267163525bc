package calls

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// idleTime is how long a connection is kept: less than any server of ours
	// keeps it, so that no request meets its end.
	idleTime = 10 * time.Second
	mostIdle = 256
	// dialTime bounds the wait for a connection, within the call's own time.
	dialTime = 10 * time.Second
)

// pool keeps the connections to one address.
type pool struct {
	address string
	mu      sync.Mutex
	idle    []*conn // the one used last is the last
	closed  bool
}

// conn is one connection, used by one call at a time.
type conn struct {
	net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	since  time.Time // idle
	reused bool
}

// do sends x and reads its response. The end of ctx ends it at once.
func (p *pool) do(ctx context.Context, x *exchange) error {
	for {
		c, err := p.take(ctx)
		if err != nil {
			return err
		}
		err = c.do(ctx, x)
		if err == nil && !x.resp.ConnectionClose() && ctx.Err() == nil {
			p.put(c)
		} else {
			_ = c.Close()
		}
		if err == nil || !c.reused || !x.safe || !errors.Is(err, io.EOF) || ctx.Err() != nil {
			return err
		}
		x.resp.Reset() // the server had ended the connection: take another
	}
}

func (c *conn) do(ctx context.Context, x *exchange) error {
	if d, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(d)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	werr := x.req.Write(c.w)
	if werr == nil {
		werr = c.w.Flush()
	}
	// A server may answer before it has read everything, and say why.
	if err := x.resp.ReadLimitBody(c.r, math.MaxInt32); err != nil {
		return errors.Join(werr, err)
	}
	if werr != nil {
		x.resp.SetConnectionClose()
	}
	return nil
}

// take returns a connection that is kept, or a new one.
func (p *pool) take(ctx context.Context) (*conn, error) {
	for {
		c := p.pop()
		if c == nil {
			break
		}
		if time.Since(c.since) < idleTime && c.alive() {
			c.reused = true
			return c, nil
		}
		_ = c.Close()
	}
	network, address := "tcp", p.address
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	nc, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, r: bufio.NewReaderSize(nc, 16<<10), w: bufio.NewWriterSize(nc, 16<<10)}, nil
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

// put keeps c, and closes what has not been used for long.
func (p *pool) put(c *conn) {
	now := time.Now()
	c.since = now
	p.mu.Lock()
	defer p.mu.Unlock()
	old := 0
	for old < len(p.idle) && (now.Sub(p.idle[old].since) > idleTime || len(p.idle)-old >= mostIdle) {
		_ = p.idle[old].Close()
		old++
	}
	p.idle = append(p.idle[:0], p.idle[old:]...)
	if p.closed {
		_ = c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
}

// alive reports whether an idle connection is neither ended nor says anything.
func (c *conn) alive() bool {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	if err != nil || c.r.Buffered() > 0 {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		quiet = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && quiet
}
