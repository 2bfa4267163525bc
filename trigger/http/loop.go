package http

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/processor/epoll"
	"github.com/myelin-run/myelin/trigger"
)

// loop serves many connections from one goroutine: it reads what has come,
// submits the requests that are whole to the function, and writes the answers
// when they are there. It does so for plain, small requests only. A connection
// with any other, and an answer that is not plain, go to a goroutine of their own
// with fasthttp, for good: see adopt.
type loop struct {
	s   *server
	h   trigger.Submitter
	set *epoll.Set[looped] // posted are those that have come, and those whose outcome is there

	clock
	head  []byte // of an answer that is being written
	swept int64  // the tick of the last sweep

	flying int  // events submitted, whose outcome was not taken
	line   line // of requests that wait for one of them to end
	bufs   epoll.Buffers

	stop  atomic.Bool
	ended chan struct{}
}

// newLoop makes a loop for the function of h; nil if that does not take events
// so, or cannot be looped for another reason.
func (s *server) newLoop() (*loop, error) {
	h, ok := s.h.(trigger.Submitter)
	if !ok || s.cfg.Engine != EngineLoop || s.cors != nil || s.cfg.Concurrency > 0 || s.cfg.FileStreamRoot != "" || s.hub != nil || h.Pending(func() {}) == nil {
		return nil, nil
	}
	set, err := epoll.New[looped]()
	if err != nil {
		return nil, fmt.Errorf("open event loop: %w", err)
	}
	return &loop{s: s, h: h, set: set, bufs: epoll.Buffers{Size: int(s.cfg.ReadBufferSize)}, ended: make(chan struct{})}, nil
}

// run serves until end is called. By then every connection is gone.
func (l *loop) run() {
	defer close(l.ended)
	for !l.stop.Load() {
		n := l.set.Wait()
		l.tell(time.Now())
		for i := range n {
			if c, hungUp := l.set.Ready(i); c != nil {
				c.ready(hungUp)
			}
		}
		l.settle()
		l.h.Flush()
		l.sweep()
	}
}

// end stops the loop and frees what it has.
func (l *loop) end() {
	l.stop.Store(true)
	l.set.Wake()
	<-l.ended
	l.set.Close()
}

// clock is the time as of a while ago, also as answers say it.
type clock struct {
	now   time.Time
	stamp int64 // the second that date is of
	date  []byte
}

// tell sets the clock.
func (c *clock) tell(now time.Time) {
	c.now = now
	if sec := now.Unix(); sec != c.stamp {
		c.stamp = sec
		c.date = now.UTC().AppendFormat(c.date[:0], "Mon, 02 Jan 2006 15:04:05 GMT")
	}
}

// ready looks after a connection that has something.
func (c *looped) ready(hungUp bool) {
	c.in.Heard(hungUp)
	if c.at%phases != running {
		c.read()
	}
}

// settle takes in the connections that are new, and those that have an outcome.
func (l *loop) settle() {
	for _, c := range l.set.News() {
		if c.slot == epoll.Outside {
			l.enter(c)
		} else {
			c.finish()
		}
	}
	for !l.line.empty() && (l.line.first().submit() || l.flying == 0) {
		if c := l.line.pop(); l.flying == 0 { // others have all the room
			c.handle()
		}
	}
}

// enter puts a new connection into the set.
func (l *loop) enter(c *looped) {
	c.phase(idle)
	var err error
	if c.slot, err = l.set.Add(c, c.fd); err != nil {
		_ = unix.Close(c.fd)
		c.left()
		l.s.wg.Done()
	}
}

// forget takes c out of the loop. Its descriptor is the caller's.
func (l *loop) forget(c *looped) {
	l.set.Remove(c.slot, c.fd)
	l.bufs.Put(c.in.Buf)
	c.in.Buf = nil
	c.left()
}

// left gives back what a connection has that the loop has no more.
func (c *looped) left() {
	if c.call != nil {
		c.call.clear()
		c.l.s.calls.Put(c.call)
		c.call = nil
	}
	c.gone = true
	c.l.s.looped.Add(-1)
}

// sweep ends the connections whose time is over, once a tick.
func (l *loop) sweep() {
	tick, closing := l.s.ticks.Load(), l.s.closing.Load()
	if tick == l.swept && !closing {
		return
	}
	l.swept = tick
	for !l.line.empty() && l.line.first().at/phases < tick-1 {
		l.line.pop().handle() // it may be refused, when it has waited for long enough
	}
	for c := range l.set.All() {
		switch {
		case c.at%phases == idle && closing:
			c.in.Unread = true // a request that came in the meantime is served
			if c.read(); !c.gone && c.at%phases == idle {
				c.close()
			}
		case c.late(tick) && c.at%phases == idle:
			c.close()
		case c.late(tick) && c.at%phases == reading:
			c.tooSlow()
		}
	}
	l.h.Flush()
}
