package http

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/myelin-run/myelin/processor/trunk"
)

const (
	// h2Streams is how many requests a connection may have at once.
	h2Streams = 250
	// h2Ping is how long a connection may say nothing before it is asked whether
	// it is there, and then how long it may take to answer.
	h2Ping = 30 * time.Second
)

// h2preface is what a connection of HTTP/2 begins with.
const h2preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// h2begins reports whether b is, or may become, the beginning of HTTP/2.
func h2begins(b []byte) (is, may bool) {
	n := min(len(b), len(h2preface))
	may = string(b[:n]) == h2preface[:n]
	return may && n >= len("PRI "), may
}

// h2 serves the connections that begin as HTTP/2 does. The protocol is the
// library's; requests go the way of all others. Its life: newH2; run, which
// conn may be called beside; leave, once; end.
type h2 struct {
	s     *server
	base  *http.Server
	in    chan net.Conn
	free  sync.Pool // *h2request
	late  h2bodies  // that are on their way
	done  chan struct{}
	tasks sync.WaitGroup
	left  sync.Once
	shut  sync.Once
}

func newH2(s *server) *h2 {
	h := &h2{s: s, in: make(chan net.Conn), done: make(chan struct{})}
	h.free.New = func() any { return &h2request{} }
	idle := s.cfg.IdleTimeout
	if idle == 0 {
		idle = s.cfg.ReadTimeout
	}
	// Without a table of headers that were sent: each answer has one of its own, the
	// request's id, and to keep it there costs more than to send the others anew.
	const noTable = 1
	h.base = &http.Server{ // reads and writes are timed by the server's sweep: the library sets deadlines for each
		Handler:        http.HandlerFunc(h.serve),
		IdleTimeout:    idle.Std(),
		MaxHeaderBytes: s.cfg.bufferSize(),
		ErrorLog:       nobody,
		Protocols:      new(http.Protocols),
		HTTP2:          &http.HTTP2Config{MaxEncoderHeaderTableSize: noTable, MaxConcurrentStreams: h2Streams, SendPingTimeout: h2Ping, PingTimeout: h2Ping},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, newPeer(c))
		},
	}
	h.base.Protocols.SetUnencryptedHTTP2(true)
	return h
}

// run has the library wait for connections.
func (h *h2) run() { h.tasks.Go(func() { _ = h.base.Serve(h) }) } // it ends with the listener, which h is

// conn serves c, whose first bytes were read, until it ends.
func (h *h2) conn(c *conn) {
	nc := &h2conn{Conn: c.Conn, c: c, lead: append(c.lead, c.had...), closed: make(chan struct{})}
	c.had = nil
	if !nc.begin() {
		_ = c.Conn.Close()
		return
	}
	nc.out = newH2out(c)
	c.enter(running)         // without a timeout: an idle connection, the library closes
	_ = nc.SetDeadline(none) // one may have been set for what c waited for
	select {
	case h.in <- nc:
		<-nc.closed
	case <-h.done:
		_ = nc.Close() // nothing of a request was taken
	}
}

// leave tells all clients to begin no more requests, and takes no more of them.
func (h *h2) leave() {
	h.left.Do(func() {
		h.tasks.Go(func() { _ = h.base.Shutdown(context.Background()) }) // it waits for those that have begun
	})
}

// end returns when nothing of h runs. By then every connection is gone.
func (h *h2) end() {
	_ = h.base.Close() // of what has ended
	h.tasks.Wait()
}

// Accept implements [net.Listener].
func (h *h2) Accept() (net.Conn, error) {
	select {
	case c := <-h.in:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener]; the library calls it.
func (h *h2) Close() error {
	h.shut.Do(func() { close(h.done) })
	return nil
}

// Addr implements [net.Listener].
func (h *h2) Addr() net.Addr { return &net.TCPAddr{} }

// h2conn is a connection of which something was read already.
type h2conn struct {
	net.Conn
	c      *conn
	out    *h2out
	lead   []byte
	once   sync.Once
	closed chan struct{}
}

// begin reads the rest of the preface, which the library would wait for without
// an end. It reports whether it came in time; what is none, the library refuses.
func (c *h2conn) begin() bool {
	for _, may := h2begins(c.lead); may && len(c.lead) < len(h2preface); _, may = h2begins(c.lead) {
		var b [len(h2preface)]byte
		n, err := c.c.Read(b[:len(h2preface)-len(c.lead)])
		if c.lead = append(c.lead, b[:n]...); err != nil {
			return false
		}
	}
	return true
}

// Write implements [net.Conn].
func (c *h2conn) Write(b []byte) (int, error) { return c.out.Write(b) }

// Close implements [net.Conn].
func (c *h2conn) Close() error {
	c.once.Do(func() {
		c.out.close()
		close(c.closed)
	})
	return c.Conn.Close()
}

// Read implements [net.Conn]. It has no deadline: one that is over was meant for a
// write that has ended meanwhile.
func (c *h2conn) Read(b []byte) (int, error) {
	if len(c.lead) > 0 {
		n := copy(b, c.lead)
		c.lead = c.lead[n:]
		return n, nil
	}
	for {
		n, err := c.Conn.Read(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if err := c.SetReadDeadline(none); err != nil {
			return 0, err
		}
	}
}

// leads keeps the first bytes of a connection if they are not those of a request
// of HTTP/1: a trunk begins, or HTTP/2.
func (c *conn) leads(b []byte) bool {
	switch is, _ := h2begins(b); {
	case is && c.s.h2 != nil:
		c.h2 = true
	case b[0] != trunk.Preface[0] || !mayLead(c.Conn):
		return false
	}
	c.lead = bytes.Clone(b)
	return true
}

// fill reads on while b has less than it takes to tell HTTP/2 from HTTP/1.
func (c *conn) fill(b []byte, n int) int {
	for c.s.h2 != nil && n < len(b) {
		is, may := h2begins(b[:n])
		if is || !may {
			break
		}
		more, err := c.some(b[n:])
		n += more
		if err != nil {
			break // who reads next is told again
		}
	}
	return n
}
