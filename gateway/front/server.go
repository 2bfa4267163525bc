package front

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/platform/local/graceful"
	"github.com/myelin-run/myelin/processor/peer"
)

// Handling answers requests, and hears of those that could not be read.
type Handling interface {
	Handler
	// Broken is called after a request was refused that could not be read.
	Broken(c *Call)
}

// Server serves clients. Its life: New, then its fields may be set, Serve once,
// which ends when its context does.
type Server struct {
	Log *slog.Logger
	// Head, Idle and Stall bound the wait for a whole head, for the next
	// request, and for a byte to move of a body or an answer.
	Head, Idle, Stall time.Duration
	MaxHeader         int
	// MaxConns bounds the connections; one more is closed at once.
	MaxConns int
	Engine   Engine

	handler  Handling
	tick     time.Duration
	ticks    atomic.Int64
	limits   [phases]int64
	draining atomic.Bool // answer with Connection: close
	closing  atomic.Bool // close connections without a request
	ended    atomic.Bool // break off what is under way

	mu    sync.Mutex
	conns map[*conn]struct{}
	wg    sync.WaitGroup
	h2    *graceful.Server
	h2in  *channel

	loops  []*loop
	looped atomic.Int64 // connections that loops have
	dealt  atomic.Uint32
}

// New returns a server of h.
func New(h Handling) *Server {
	s := &Server{
		Log: slog.New(slog.DiscardHandler), handler: h, conns: map[*conn]struct{}{},
		Head: 10 * time.Second, Idle: 2 * time.Minute, Stall: time.Minute,
		MaxHeader: 64 << 10, MaxConns: 1 << 18,
	}
	return s
}

// Listener is where clients come from.
type Listener struct {
	net.Listener
	// TLS is for clients that begin with it; others speak in the clear. nil:
	// all do.
	TLS *tls.Config
}

// Serve serves on all ls, which it closes, until ctx is done or one fails. Then
// it accepts no more, answers all that comes on the connections there are, and
// closes those on which nothing comes after linger; after drain it breaks off
// what is left.
func (s *Server) Serve(ctx context.Context, ls []Listener, linger, drain time.Duration) error {
	s.begin()
	if err := s.startLoops(); err != nil {
		for _, l := range ls {
			_ = l.Close()
		}
		return err
	}
	defer s.endLoops()
	defer s.sweep()()
	failed := make(chan error, len(ls))
	for _, l := range ls {
		go func() { failed <- s.accept(l) }()
	}
	h2 := make(chan error, 1)
	go func() { h2 <- s.h2.Serve(s.h2in) }()
	var err error
	waiting := len(ls)
	select {
	case err = <-failed:
		waiting--
	case <-ctx.Done():
	}
	s.draining.Store(true)
	s.wakeLoops()
	for _, l := range ls {
		_ = l.Close() // what is in its queue is for who accepts next
	}
	for range waiting {
		if e := <-failed; err == nil {
			err = e
		}
	}
	dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	return errors.Join(err, s.drain(dctx, linger), <-h2)
}

// begin reckons the timeouts in ticks.
func (s *Server) begin() {
	s.tick = min(max(min(s.Head, s.Idle, s.Stall)/16, 5*time.Millisecond), 500*time.Millisecond)
	in := func(d time.Duration) int64 { return int64((d+s.tick-1)/s.tick) + 1 }
	s.limits = [phases]int64{idle: in(s.Idle), heading: in(s.Head), writing: in(s.Stall)}
	s.ticks.Store(1)
	s.h2in = newChannel()
	s.h2 = s.newH2()
}

func (s *Server) accept(l Listener) error {
	pause := time.Duration(0)
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.take(nc, l.TLS)
		case s.draining.Load():
			return nil
		case transient(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			<-time.After(pause) // descriptors may be free then
		default:
			return err
		}
	}
}

// transient says of errors that pass: a client that went away in the queue, or
// a process or machine out of descriptors or memory.
func transient(err error) bool {
	for _, e := range []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR, syscall.EPROTO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// take serves nc on a goroutine of its own.
func (s *Server) take(nc net.Conn, conf *tls.Config) {
	c := newConn(s, nc, nc)
	s.mu.Lock()
	full := len(s.conns)+int(s.looped.Load()) >= s.MaxConns
	if !full {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if full {
		_ = nc.Close()
		return
	}
	s.wg.Go(func() {
		if s.serve(c, conf) && !c.tun.Load() {
			s.drop(c)
		}
	})
}

func (s *Server) drop(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// hello is the first byte of a client that speaks TLS.
const hello = 0x16

// serve finds out what the client speaks, and serves it. False: a loop has it.
func (s *Server) serve(c *conn, conf *tls.Config) (own bool) {
	br := bufio.NewReaderSize(c, firstBuffer)
	p, err := br.Peek(1)
	if err == nil && p[0] == hello && conf != nil {
		if !s.secure(c, tls.Server(&begun{c.raw, br}, conf)) {
			return true
		}
		br = bufio.NewReaderSize(c, firstBuffer)
	} else if err == nil && p[0] == 'P' && isH2(br) {
		s.toH2(c, &begun{c.Conn, br})
		return true
	}
	return c.run(br)
}

// secure shakes hands. A client that agrees on HTTP/2 is handed on.
func (s *Server) secure(c *conn, tc *tls.Conn) bool {
	ctx, cancel := context.WithTimeout(context.Background(), s.Head)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		c.quit.Store(true)
		_ = c.raw.Close()
		return false
	}
	switch tc.ConnectionState().NegotiatedProtocol {
	case "h2":
		c.call.TLS = true
		s.toH2(c, tc)
		return false
	case "acme-tls/1": // the handshake was all that was wanted
		c.quit.Store(true)
		_ = tc.Close()
		return false
	}
	c.Conn, c.call.TLS = tc, true
	c.enter(idle)
	return true
}

// sweep runs the clock, and with each tick interrupts what has lasted too long
// and looks for clients that have gone, until stop is called.
func (s *Server) sweep() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(s.tick)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				s.ticks.Add(1)
				s.wakeLoops()
				s.look()
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

func (s *Server) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.ticks.Load()
	for c := range s.conns {
		if c.quit.Load() || c.tun.Load() {
			continue
		}
		if c.over() {
			c.interrupt()
		}
		if at := c.at.Load(); at%phases == running && now-at/phases > 1 && c.call.gone.Load() != nil && peer.Gone(c.raw) {
			c.call.left()
		}
	}
}

// drain waits until every connection has been answered and closed.
func (s *Server) drain(ctx context.Context, linger time.Duration) error {
	other := make(chan error, 1)
	go func() { other <- s.h2.Drain(ctx, linger) }()
	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	quiet := time.NewTimer(linger)
	defer quiet.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-gone:
			return errors.Join(<-other, s.end())
		case <-quiet.C:
			s.closing.Store(true)
		case <-again.C:
		case <-ctx.Done():
			s.endAll(gone, again.C)
			return errors.Join(<-other, context.DeadlineExceeded)
		}
		if s.closing.Load() {
			s.wake()
		}
	}
}

// endAll breaks off what is left until nothing is: a loop may give a connection to
// a goroutine in between.
func (s *Server) endAll(gone <-chan struct{}, again <-chan time.Time) {
	for {
		_ = s.end()
		select {
		case <-gone:
			return
		case <-again:
		}
	}
}

// wake makes each read between requests return, so that it sees closing.
func (s *Server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.phase() == idle && !c.quit.Load() {
			c.interrupt()
		}
	}
}

// end breaks off what is left: tunnels, and at the deadline everything.
func (s *Server) end() error {
	s.ended.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.call.left()
		_ = c.raw.SetDeadline(past)
		_ = c.raw.Close()
	}
	return nil
}
