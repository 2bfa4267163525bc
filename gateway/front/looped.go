package front

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/gateway/wire"
	"github.com/myelin-run/myelin/processor/epoll"
)

const (
	// mostLooped bounds a request, head and body, that a loop reads itself.
	mostLooped = 32 << 10
	// mostStay is how many calls a connection has at most to make that can be begun
	// before it may return to a loop that it has left often.
	mostStay = 4096
)

// looped is a connection that a loop has. Only the loop's goroutine uses it, but
// for the call while that is on its way.
type looped struct {
	l    *loop
	c    *conn
	fd   int
	slot int32
	in   epoll.Inlet
	want int // length of the first request in the buffer; 0: not known yet
	seen int // bytes that were looked through for its head's end
	gone bool
}

// mayLoop says whether a connection may go to a loop between two requests.
func (c *conn) mayLoop() bool {
	switch {
	case len(c.s.loops) == 0 || c.Conn != c.raw || c.s.draining.Load():
		return false
	case c.s.Engine == Loops:
		return true
	case !c.call.Brief || c.s.ticks.Load()-c.at.Load()/phases > 1:
		return false
	}
	c.stay--
	return c.stay < 0
}

// leave gives c to a loop, with what was read of requests that were not begun.
// False: it cannot be.
func (c *conn) leave() bool {
	s := c.s
	had, _ := c.br.Peek(c.br.Buffered()) // they are there
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	fd, ok := epoll.Take(c.raw)
	if !ok {
		s.mu.Lock()
		s.conns[c] = struct{}{}
		s.mu.Unlock()
		return false
	}
	l := s.loops[int(s.dealt.Add(1))%len(s.loops)]
	v := &looped{l: l, c: c, fd: fd, slot: epoll.Outside}
	if len(had) > 0 {
		v.in.Buf = append(make([]byte, 0, max(firstBuffer, len(had))), had...)
		c.enter(heading)
	} else {
		c.enter(idle)
	}
	c.Conn, c.raw, c.br, c.head = nil, nil, nil, nil
	c.call.land = func() { l.set.Post(v) }
	c.kept = true
	s.looped.Add(1)
	s.wg.Add(1)
	l.set.Post(v)
	return true
}

// left takes v out of its loop. Its descriptor is the caller's.
func (v *looped) left() {
	v.l.set.Remove(v.slot, v.fd)
	v.gone = true
	v.l.s.looped.Add(-1)
}

// close ends the connection.
func (v *looped) close() {
	v.left()
	v.l.bufs.Put(v.in.Buf)
	_ = unix.Close(v.fd)
	v.l.s.wg.Done()
}

// ready looks after a connection that has something.
func (v *looped) ready(hungUp bool) {
	v.in.Heard(hungUp)
	v.read()
}

// read takes in what has come and begins the requests that it completes.
func (v *looped) read() {
	for v.in.Unread && !v.gone && v.c.phase() != running {
		if len(v.in.Buf) >= mostLooped || !v.in.Grow(&v.l.bufs, max(v.want, 2*len(v.in.Buf))) {
			v.adopt(nil)
			return
		}
		n, ended := v.in.Fill(v.fd)
		switch {
		case ended && len(v.in.Buf) > 0:
			v.adopt(nil) // which says that this is no request
		case ended:
			v.close()
		case n > 0:
			if v.c.phase() == idle {
				v.c.enter(heading)
			}
			v.pump()
		case len(v.in.Buf) == 0: // idle connections have no buffer
			v.l.bufs.Put(v.in.Buf)
			v.in.Buf = nil
		}
	}
}

// pump begins what is whole in the buffer, one after the other.
func (v *looped) pump() {
	for !v.gone && v.c.phase() != running && len(v.in.Buf) > 0 && v.next() {
	}
}

// next begins the first request in the buffer; false if it is not there yet, or
// the connection has left the loop.
func (v *looped) next() bool {
	if v.want == 0 {
		if v.in.Buf[0] < 'A' { // empty lines, or nonsense
			v.adopt(nil)
			return false
		}
		n := wire.HeadEnd(v.in.Buf, max(0, v.seen-3))
		if v.seen = len(v.in.Buf); n < 0 {
			return false
		}
		r := &v.c.call.Req
		if r.Parse(v.in.Buf[:n]) != nil || r.Minor == 0 || r.Close || r.Continue || len(r.Upgrade) > 0 || r.Length < 0 || int64(n)+r.Length > mostLooped {
			v.adopt(nil)
			return false
		}
		v.want = n + int(r.Length)
	}
	if len(v.in.Buf) < v.want {
		return false
	}
	v.begin()
	return !v.gone
}

// begin has the handler begin the request, whose head was parsed.
func (v *looped) begin() {
	c := v.c
	c.enter(running)
	c.close, c.full, c.left = false, true, 0
	c.call.begin((*answer)(c), v.l.now)
	c.call.Body.ResetWhole(v.in.Buf[v.want-int(c.call.Req.Length) : v.want : v.want])
	switch v.l.batch.Begin(&c.call) {
	case Declined:
		v.adopt(nil)
	case Answered:
		v.answer()
	case Unfinished:
		v.finish()
	}
}

// landed goes on with a call that was on its way.
func (v *looped) landed() {
	if !v.c.call.whole {
		v.finish()
		return
	}
	v.answer()
	v.pump()
	v.read()
}

// finish leaves the call, and the connection, to a goroutine.
func (v *looped) finish() {
	c := v.c
	v.adopt(func() bool {
		c.call.Flight.Finish()
		return c.after()
	})
}

// answer writes the answer, which is whole.
func (v *looped) answer() {
	c := v.c
	n, err := syscall.Write(v.fd, c.out) // of which the race detector knows what it orders
	rest := c.out[max(n, 0):]
	if c.out = c.out[:0]; cap(c.out) > 4*mostOut {
		c.out = nil
	}
	switch {
	case c.call.aborted, err != nil && err != syscall.EAGAIN && err != syscall.EINTR:
		c.call.aborted = true
		v.last(nil)
	case len(rest) > 0 || c.close:
		v.last(rest)
	default:
		c.call.Flight.Written()
		v.answered()
	}
}

// last has a goroutine write rest, and do what is to be done then.
func (v *looped) last(rest []byte) {
	c := v.c
	v.adopt(func() bool {
		if c.write(rest) != nil {
			c.call.aborted = true
		}
		c.call.Flight.Written()
		return c.after()
	})
}

// answered goes on after an answer.
func (v *looped) answered() {
	v.use()
	if len(v.in.Buf) > 0 {
		v.c.enter(heading)
		return
	}
	v.c.enter(idle)
	v.l.bufs.Put(v.in.Buf)
	v.in.Buf = nil
}

// use drops the request that was answered.
func (v *looped) use() {
	v.in.Use(v.want)
	v.want, v.seen = 0, 0
}

// adopt takes the connection out of the loop and serves it, with what was read of
// requests that were not begun, on a goroutine. first, if set, has its way before,
// for the request that was begun, and ends the connection if it returns false.
func (v *looped) adopt(first func() bool) {
	c, s := v.c, v.l.s
	v.left()
	had := v.in.Buf
	if first != nil {
		had = bytes.Clone(had[v.want:]) // the rest is the call's
	} else if c.phase() == running {
		c.enter(heading)
	}
	c.stayOut()
	c.br = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(had), c), max(firstBuffer, len(had)))
	nc, err := epoll.Give(v.fd)
	if err != nil {
		nc = lost()
	}
	c.Conn, c.raw, c.kept = nc, nc, false
	if len(had) > 0 {
		_, _ = c.br.Peek(1) // so that they are seen to be there
	}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	go func() { // which the count in wg stands for that the loop had of it
		defer s.wg.Done()
		if c.goOn(first == nil || first()) && !c.tun.Load() {
			s.drop(c)
		}
	}()
}

// stayOut has the connection have a goroutine for a while, and for longer each
// time.
func (c *conn) stayOut() {
	c.term = min(2*c.term+4, mostStay)
	c.stay = c.term
}

// lost is a connection that ended.
func lost() net.Conn {
	here, there := net.Pipe()
	_, _ = here.Close(), there.Close()
	return here
}
