package http

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/processor/trunk"
)

const (
	// acceptGap without a new connection ends the last call of a drain.
	acceptGap = 5 * time.Millisecond
	// acceptLast bounds the last call under a load that leaves no gap.
	acceptLast = 100 * time.Millisecond
	// maxRefusals is how many connections over the limit are told so at once.
	maxRefusals = 64
)

type deadliner interface{ SetDeadline(time.Time) error }

// run accepts connections until ctx is done or ln fails, then closes closed and drains.
func (s *server) run(ctx context.Context, ln net.Listener, closed chan<- struct{}) error {
	var err error
	if s.loop, err = s.newLoop(); err != nil {
		return err
	}
	if s.loop != nil {
		go s.loop.run()
		defer s.loop.end()
	}
	if s.h2 != nil {
		s.h2.run()
		defer s.h2.end()
	}
	defer s.sweep()()
	accepted := make(chan error, 1)
	go func() { accepted <- s.accept(ctx, ln) }()
	var lost error
	select {
	case lost = <-accepted:
		s.draining.Store(true)
		s.leave()
	case <-ctx.Done():
		s.draining.Store(true)
		s.leave()
		if d, ok := ln.(deadliner); !ok || d.SetDeadline(time.Now().Add(acceptGap)) != nil {
			_ = ln.Close() // it cannot be asked for what is in its queue
		}
		<-accepted
	}
	_ = ln.Close() // nothing is left to lose
	close(closed)
	s.drain()
	return lost
}

// accept takes connections until the listener fails or, when the server
// drains, until its queue has been empty for a moment.
func (s *server) accept(ctx context.Context, ln net.Listener) error {
	var last time.Time
	pause := time.Duration(0)
	for {
		if s.draining.Load() {
			if last.IsZero() {
				last = time.Now().Add(acceptLast)
			}
			lastCall(ln, last)
		}
		c, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.take(c, nil)
		case ctx.Err() != nil:
			return nil
		case transient(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			wait(ctx, pause)
		default:
			return fmt.Errorf("accept on %s: %w", ln.Addr(), cause(err))
		}
	}
}

func lastCall(ln net.Listener, last time.Time) {
	if d, ok := ln.(deadliner); ok {
		gap := time.Now().Add(acceptGap)
		if gap.After(last) {
			gap = last
		}
		_ = d.SetDeadline(gap) // a closed listener ends Accept as well
	}
}

// transient says of errors that pass: a client that went away in the queue, or
// a process or machine out of descriptors or memory.
func transient(err error) bool {
	for _, e := range []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR, syscall.EPROTO, os.ErrDeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// take serves raw, or refuses it if there are too many. w is the crew of the trunk
// that it is on, nil if it is on none.
func (s *server) take(raw net.Conn, w *crew) {
	c := &conn{Conn: raw, s: s, begun: s.plainOnly(raw)}
	c.enter(idle)
	s.mu.Lock()
	full := len(s.conns)+int(s.looped.Load()) >= s.cfg.MaxConnections
	if !full && s.loop != nil && s.loopIn(raw) {
		s.mu.Unlock()
		return
	}
	if !full {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	on, _ := raw.(*trunk.Conn)
	switch {
	case full:
		s.refuse(c)
	case w != nil && on != nil && s.lanes():
		s.wg.Add(1)
		w.board(c, on)
	default:
		s.wg.Go(func() { s.serveConn(c) })
	}
}

// serveConn serves c, which is among s.conns, until it ends.
func (s *server) serveConn(c *conn) {
	err := s.http.ServeConn(c) // an answer or a closed connection has told the client
	switch {
	case c.socket != nil:
		s.carrySocket(c, err == nil)
	case c.lead == nil:
	case c.h2:
		s.h2.conn(c)
	default:
		s.carry(c)
	}
	s.forget(c)
}

func (s *server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *server) refuse(c *conn) {
	if s.refusals.Add(1) > maxRefusals {
		s.refusals.Add(-1)
		_ = c.Conn.Close() // too many even to be told
		return
	}
	s.wg.Go(func() {
		defer s.refusals.Add(-1)
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Conn.Write([]byte("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n" +
			"Content-Type: application/json\r\nContent-Length: 32\r\n\r\n{\"error\":\"too many connections\"}"))
		c.early = true
		_ = c.Close() // the client sees what was written, or has gone
	})
}

// drain waits until every connection has been answered and closed. Those
// without a request are closed after DrainLinger.
func (s *server) drain() {
	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	linger := time.NewTimer(s.cfg.DrainLinger.Std())
	defer linger.Stop()
	select {
	case <-gone:
		return
	case <-linger.C:
	}
	s.closing.Store(true)
	if s.h2 != nil {
		s.h2.leave()
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		s.wake()
		select {
		case <-gone:
			return
		case <-again.C: // one may have armed its deadline over ours
		}
	}
}

// wake makes each waiting read return, so that its connection sees closing.
func (s *server) wake() {
	if s.loop != nil {
		s.loop.set.Wake()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		switch {
		case c.trunk != nil && c.trunk.Len() == 0:
			_ = c.trunk.Close() // whoever opens is told since the linger
		case c.phase() == idle && !c.left.Load():
			c.interrupt() // closed ones need no waking
		}
	}
}
