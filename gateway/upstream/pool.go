// Package upstream passes requests on to one address, on connections that are
// kept. It knows nothing of who serves there and of where requests come from.
package upstream

import (
	"bufio"
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/processor/trunk"
)

const (
	// idleTime is how long a connection is kept: less than any function keeps
	// it, so that no request meets its end.
	idleTime = 30 * time.Second
	mostIdle = 1024
	dialTime = 10 * time.Second
	// trustTime is how long a connection that was used needs no look before it
	// is used again.
	trustTime  = 2 * time.Millisecond
	readBuffer = 8 << 10
)

// Pool is the connections to one generation of what listens at an address. Its
// life: New, which opens nothing; Enter and Exchange from any goroutine; Retire.
type Pool struct {
	address string

	mu      sync.Mutex
	idle    shelf // connections of their own
	lanes   shelf // those on the trunk
	trunk   *rail
	sole    bool      // one processor listens: a trunk leads to all there is
	laying  bool      // a trunk is being made
	notYet  time.Time // when to try that again
	retired bool
	waiting int           // requests that were not answered a byte yet
	calm    chan struct{} // closed when waiting is 0; nil if nobody waits for that
}

// link is one connection, used by one request at a time.
type link struct {
	net.Conn
	br     *bufio.Reader
	since  time.Time // idle
	reused bool
	timed  bool // has a deadline
	lane   bool // on the trunk
	rail   *rail
	on     *trunk.Conn
}

// New returns a pool of connections to address.
func New(address string) *Pool { return &Pool{address: address} }

// Sole says whether one processor alone listens at the address. A trunk leads to
// one, and so without this there is none.
func (p *Pool) Sole(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sole = yes; !yes {
		p.leaveTrunk()
	}
}

// Enter is called before each Exchange. False says that the pool is retired.
func (p *Pool) Enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired {
		return false
	}
	p.waiting++
	if p.waiting >= trunkAt {
		p.lay()
	}
	return true
}

// Leave is called instead of Exchange by who has entered and goes no further.
func (p *Pool) Leave() { p.leave() }

func (p *Pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.less(1)
}

// less says that n requests wait no more. The pool is locked.
func (p *Pool) less(n int) {
	p.waiting -= n
	if p.waiting == 0 && p.calm != nil {
		close(p.calm)
		p.calm = nil
	}
}

// Retire closes what is idle, waits until the requests that chose this pool have
// been taken up, or ctx is done, and closes what has become idle since.
func (p *Pool) Retire(ctx context.Context) {
	p.mu.Lock()
	p.retired = true
	p.idle.clear()
	p.leaveTrunk()
	calm := make(chan struct{})
	if p.waiting == 0 {
		close(calm)
	} else {
		p.calm = calm
	}
	p.mu.Unlock()
	select {
	case <-calm:
	case <-ctx.Done():
	}
}

// take returns a connection that is kept, or a new one; one on the trunk if
// there is one and the request is small.
func (p *Pool) take(ctx context.Context, small bool) (*link, error) {
	if small {
		if l := p.takeLane(); l != nil {
			return l, nil
		}
	}
	for {
		l := p.pop(&p.idle)
		if l == nil {
			return p.dial(ctx)
		}
		if l.usable() {
			return l, nil
		}
		_ = l.Close()
	}
}

// usable says whether an idle connection may be used again.
func (l *link) usable() bool {
	since := time.Since(l.since)
	l.reused = true
	return since < trustTime && !l.lane || since < idleTime && l.alive()
}

func (p *Pool) dial(ctx context.Context) (*link, error) {
	nc, err := (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	return &link{Conn: nc, br: bufio.NewReaderSize(nc, readBuffer)}, nil
}

func (p *Pool) pop(s *shelf) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.pop()
}

// put keeps l, and closes what has not been used for long.
func (p *Pool) put(l *link) {
	if !l.untimed() {
		_ = l.Close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shelve(l, time.Now())
}

// untimed takes the deadline away. False: the connection has ended.
func (l *link) untimed() bool {
	if !l.timed {
		return true
	}
	l.timed = false
	return l.SetDeadline(time.Time{}) == nil
}

// shelve keeps l. The pool is locked.
func (p *Pool) shelve(l *link, now time.Time) {
	l.since = now
	switch {
	case p.retired || l.lane && p.trunk == nil:
		_ = l.Close()
	case l.lane:
		p.lanes.push(l, now)
	default:
		p.idle.push(l, now)
	}
}

// shelf is connections that are idle; the one used last is the last.
type shelf []*link

func (s *shelf) pop() *link {
	n := len(*s) - 1
	if n < 0 {
		return nil
	}
	l := (*s)[n]
	(*s)[n] = nil
	*s = (*s)[:n]
	return l
}

// push keeps l, and closes what has not been used for long.
func (s *shelf) push(l *link, now time.Time) {
	old := 0
	for k := *s; old < len(k) && (now.Sub(k[old].since) > idleTime || len(k)-old >= mostIdle); old++ {
		_ = k[old].Close()
	}
	*s = append(slices.Delete(*s, 0, old), l)
}

func (s *shelf) clear() {
	for _, l := range *s {
		_ = l.Close()
	}
	*s = nil
}

// alive reports whether an idle connection is neither ended nor says anything.
func (l *link) alive() bool {
	if own, ok := l.Conn.(*trunk.Conn); ok {
		return own.Quiet() && l.br.Buffered() == 0
	}
	sys, ok := l.Conn.(syscall.Conn)
	if !ok || l.br.Buffered() > 0 {
		return false
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		quiet = errors.Is(err, unix.EAGAIN)
	})
	return err == nil && quiet
}
