package front

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/processor/epoll"
)

// Engine is how connections are served.
type Engine int

// A connection has a goroutine until a call on it was one that can be begun
// without waiting; or is with a loop from its beginning; or has a goroutine always.
const (
	Auto Engine = iota
	Loops
	Goroutines
)

// mostLoops is how many goroutines serve the connections that loops have.
const mostLoops = 8

// loop serves many connections from one goroutine: it reads what has come, has the
// handler begin the requests that are whole, and writes the answers when they are
// there. It does so for plain, small requests without TLS. What is anything else,
// and whatever takes long, goes to a goroutine with its connection: see adopt.
type loop struct {
	s     *Server
	set   *epoll.Set[looped] // posted are those that have come, and those that have landed
	batch Batch
	bufs  epoll.Buffers
	now   time.Time
	swept int64 // the tick of the last sweep
	stop  atomic.Bool
	ended chan struct{}
}

// startLoops starts the loops, if the handler can begin calls.
func (s *Server) startLoops() error {
	b, ok := s.handler.(Beginner)
	if !ok || s.Engine == Goroutines {
		return nil
	}
	for range min(max(runtime.GOMAXPROCS(0)/2, 1), mostLoops) {
		set, err := epoll.New[looped]()
		if err != nil {
			s.endLoops()
			return fmt.Errorf("open event loop: %w", err)
		}
		l := &loop{s: s, set: set, batch: b.Batch(), bufs: epoll.Buffers{Size: firstBuffer}, ended: make(chan struct{})}
		s.loops = append(s.loops, l)
		go l.run()
	}
	return nil
}

// endLoops waits until the loops have ended, which have no connections any more.
func (s *Server) endLoops() {
	for _, l := range s.loops {
		l.stop.Store(true)
		l.set.Wake()
		<-l.ended
		l.set.Close()
	}
	s.loops = nil
}

// wakeLoops has the loops look at the clock, and whether the server drains.
func (s *Server) wakeLoops() {
	if s.looped.Load() == 0 {
		return
	}
	for _, l := range s.loops {
		l.set.Wake()
	}
}

func (l *loop) run() {
	defer close(l.ended)
	for !l.stop.Load() {
		n := l.set.Wait()
		l.now = time.Now()
		for i := range n {
			if v, hungUp := l.set.Ready(i); v != nil {
				v.ready(hungUp)
			}
		}
		for _, v := range l.set.News() {
			if v.slot == epoll.Outside {
				l.enter(v)
			} else {
				v.landed()
			}
		}
		l.batch.Flush()
		l.sweep()
	}
}

// enter puts a connection that has come into the set.
func (l *loop) enter(v *looped) {
	var err error
	if v.slot, err = l.set.Add(v, v.fd); err != nil { // out of memory
		_ = unix.Close(v.fd)
		l.s.looped.Add(-1)
		l.s.wg.Done()
		return
	}
	v.pump()
}

// sweep looks after the connections whose time is over, once a tick, and gives
// all to goroutines when the server drains.
func (l *loop) sweep() {
	tick, draining := l.s.ticks.Load(), l.s.draining.Load()
	if tick == l.swept && !draining {
		return
	}
	l.swept = tick
	for v := range l.set.All() {
		c := v.c
		at := c.at.Load()
		switch phase := at % phases; {
		case phase == running:
			if tick-at/phases > 1 && c.call.Flight.Detach() {
				v.finish()
			}
		case draining:
			v.adopt(nil)
		case c.over() && phase == idle:
			v.close()
		case c.over():
			v.adopt(nil) // which says so
		}
	}
}
