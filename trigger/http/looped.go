package http

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/gateway/wire"
	"github.com/myelin-run/myelin/processor/epoll"
	"github.com/myelin-run/myelin/trigger"
)

// loopedRequest bounds a request, head and body, that the loop reads itself.
const loopedRequest = 64 << 10

// looped is a connection of a loop. Only the loop's goroutine uses it, but for
// the time in which its event is with a goroutine of its own.
type looped struct {
	l    *loop
	fd   int
	slot int32 // in the loop's set
	at   int64 // phase and tick at which it began, as conn.at

	in     epoll.Inlet // what came and is not answered
	want   int         // length of the first request in it; 0: not known yet
	served bool
	gone   bool // the loop has it no more

	message
	pending trigger.Pending
	handled bool // by a goroutine of its own, with this outcome
	err     error
}

// loopIn gives a new connection to the loop; false if that cannot have it.
func (s *server) loopIn(raw net.Conn) bool {
	fd, ok := epoll.Take(raw)
	if ok {
		s.newLooped(fd)
	}
	return ok
}

func (s *server) newLooped(fd int) *looped {
	c := &looped{l: s.loop, fd: fd, slot: epoll.Outside, message: message{call: s.calls.Get().(*call)}}
	c.init()
	c.pending = s.loop.h.Pending(func() { c.l.set.Post(c) })
	s.looped.Add(1)
	s.wg.Add(1)
	s.loop.set.Post(c)
	return c
}

func (c *looped) phase(p int64) { c.at = c.l.s.ticks.Load()*phases + p }

func (c *looped) late(tick int64) bool {
	limit := c.l.s.limits[c.at%phases]
	return limit > 0 && tick-c.at/phases >= limit
}

// close ends the connection.
func (c *looped) close() {
	c.l.forget(c)
	_ = unix.Close(c.fd)
	c.l.s.wg.Done()
}

// read takes in what has come and begins the request that it completes.
func (c *looped) read() {
	for c.in.Unread && !c.gone && c.at%phases != running {
		if !c.in.Grow(&c.l.bufs, c.want) {
			c.adopt(nil) // it is too long for the loop
			return
		}
		n, ended := c.in.Fill(c.fd)
		switch {
		case ended && len(c.in.Buf) > 0:
			c.adopt(nil) // which says that this is no request
		case ended:
			c.close()
		case n > 0:
			if c.at%phases == idle {
				c.phase(reading)
			}
			c.next()
		}
	}
}

// next begins the first request in buf if all of it is there.
func (c *looped) next() {
	if c.want == 0 {
		if b := c.in.Buf[0]; b < 'A' || b > 'Z' { // a trunk, or nonsense
			c.adopt(nil)
			return
		}
		i := wire.HeadEnd(c.in.Buf, 0)
		if i < 0 {
			return
		}
		if err := c.head.Parse(c.in.Buf[:i]); err != nil || !c.plain(&c.l.s.cfg, c.in.Buf, i) {
			c.adopt(nil)
			return
		}
		c.want = i + int(c.head.Length)
	}
	if len(c.in.Buf) >= c.want {
		c.begin()
	}
}

// begin gives the request to the function. If that has no room, but will have
// once what the loop has submitted before is done, the request waits for it here.
func (c *looped) begin() {
	l := c.l
	c.phase(running)
	c.fill(c.in.Buf[:c.want], l.now)
	switch {
	case l.line.empty() && c.submit():
	case l.flying > 0:
		l.line.push(c)
	default:
		c.handle()
	}
}

func (c *looped) submit() bool {
	if !c.pending.Submit(&c.call.ev) {
		return false
	}
	c.l.flying++
	return true
}

// handle has the event wait for a worker, in a goroutine of its own.
func (c *looped) handle() {
	c.handled = true
	go func() { // which the connection's count in wg stands for
		c.err = c.l.s.invoke(c.call)
		c.l.set.Post(c)
	}()
}

// finish answers the request whose outcome is there.
func (c *looped) finish() {
	err := c.err
	if !c.handled {
		c.l.flying--
		err = c.pending.Outcome(&c.call.resp)
		if err != nil && event.IsNotRun(err) {
			c.call.resp.Reset()
			c.handle()
			return
		}
	}
	c.handled, c.err = false, nil
	if err == nil && !c.l.s.draining.Load() && c.quick() {
		c.answer()
		return
	}
	c.odd(err)
}

// answered goes on after an answer.
func (c *looped) answered() {
	c.served = true
	c.call.clear()
	c.in.Use(c.want)
	c.want = 0
	if len(c.in.Buf) > 0 {
		c.phase(reading)
		c.next()
	} else {
		c.phase(idle)
		if cap(c.in.Buf) > int(c.l.s.cfg.ReadBufferSize) {
			c.in.Buf = nil
		}
	}
	if !c.gone {
		c.read()
	}
}
