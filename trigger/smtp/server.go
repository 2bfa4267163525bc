package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"sync/atomic"

	protocol "github.com/emersion/go-smtp"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/port"
)

// server is a Trigger that runs.
type server struct {
	*Trigger
	h        trigger.Handler
	smtp     *protocol.Server
	draining atomic.Bool

	mu     sync.Mutex
	conns  map[*conn]struct{}
	calm   chan struct{} // while it drains: closed once no connection is busy
	closed sync.WaitGroup
}

func (t *Trigger) newServer(h trigger.Handler) (*server, error) {
	s := &server{Trigger: t, h: h, conns: map[*conn]struct{}{}}
	p := protocol.NewServer(protocol.BackendFunc(s.session))
	p.Domain, p.MaxRecipients, p.MaxMessageBytes = t.cfg.Domain, t.cfg.MaxRecipients, t.cfg.MaxMessageSize.Bytes()
	p.ReadTimeout, p.WriteTimeout = t.cfg.ReadTimeout.Std(), t.cfg.WriteTimeout.Std()
	p.EnableSMTPUTF8 = true
	p.ErrorLog = log.New(io.Discard, "", 0) // what it has to say is of single connections
	p.AllowInsecureAuth = t.cfg.TLS == nil
	if t.cfg.TLS != nil {
		c, err := t.cfg.TLS.Config()
		if err != nil {
			return nil, err
		}
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
		p.TLSConfig = c
	}
	s.smtp = p
	return s, nil
}

// run serves until ctx is done or ln fails, then drains.
func (s *server) run(ctx context.Context, ln *port.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.smtp.Serve(&listener{ln, s}) }()
	var lost error
	select {
	case lost = <-served:
		lost = fmt.Errorf("accept on %s: %w", ln.Addr(), port.Cause(lost))
		s.draining.Store(true)
	case <-ctx.Done():
		s.draining.Store(true)
		ln.LastCall()
		<-served //nolint:errcheck // it says that it was closed
	}
	s.drain()
	return lost
}

// drain waits until the messages that have come are answered, and closes every
// connection: whoever has not sent one yet sends it elsewhere.
func (s *server) drain() {
	s.mu.Lock()
	s.calm = make(chan struct{})
	s.look()
	calm := s.calm
	s.mu.Unlock()
	<-calm
	_ = s.smtp.Close() // of what has no message
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Conn.Close() // it may be closed
	}
	s.mu.Unlock()
	s.closed.Wait()
}

// look tells who drains once no connection is busy. The lock is held.
func (s *server) look() {
	if s.calm == nil {
		return
	}
	for c := range s.conns {
		if c.busy {
			return
		}
	}
	select {
	case <-s.calm:
	default:
		close(s.calm)
	}
}

// listener has the connections known to the server.
type listener struct {
	net.Listener
	s *server
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	own := &conn{Conn: c, s: l.s}
	l.s.mu.Lock()
	l.s.conns[own] = struct{}{}
	l.s.mu.Unlock()
	l.s.closed.Add(1)
	return own, nil
}

// conn is busy from the moment that a message begins to come until the answer to
// it is written, which is when the next command is waited for.
type conn struct {
	net.Conn
	s        *server
	once     sync.Once
	busy     bool // the server's lock is held for it and the next
	answered bool
}

// Read implements [net.Conn].
func (c *conn) Read(b []byte) (int, error) {
	c.s.mu.Lock()
	if c.busy && c.answered {
		c.busy, c.answered = false, false
		c.s.look()
	}
	c.s.mu.Unlock()
	return c.Conn.Read(b)
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.s.mu.Lock()
		delete(c.s.conns, c)
		c.s.look()
		c.s.mu.Unlock()
		c.s.closed.Done()
	})
	return err
}

// begin marks c busy. It fails if the server drains.
func (c *conn) begin() error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.s.draining.Load() {
		return errStopping
	}
	c.busy, c.answered = true, false
	return nil
}

// end says that the answer is about to be written.
func (c *conn) end() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.answered = true
}

// connOf finds the connection below TLS.
func connOf(c *protocol.Conn) (*conn, error) {
	nc := c.Conn()
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	own, ok := nc.(*conn)
	if !ok {
		return nil, errors.New("the connection is not the server's")
	}
	return own, nil
}
