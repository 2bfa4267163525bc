package http

import (
	"slices"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/gateway/wire"
	"github.com/myelin-run/myelin/processor/trunk"
)

// mostKept bounds the buffer that a lane keeps for its next request.
const mostKept = 16 << 10

// lane is a connection on a trunk without a goroutine. The one that reads the
// trunk takes in its plain requests, and the trunk's crew serves them. With
// anything else it goes to a goroutine and fasthttp, for good.
//
// It belongs to the trunk from Await on, and to the crew once Receive was done.
type lane struct {
	message
	c    *conn
	on   *trunk.Conn
	crew *crew
	buf  []byte    // the request
	came time.Time // when
	odd  bool      // there is no plain request: the connection has to leave
	next *lane     // in the crew's line
}

// lanes says whether connections on trunks can do without goroutines.
func (s *server) lanes() bool {
	return s.cfg.Engine == EngineLoop && s.cors == nil && s.cfg.Concurrency == 0 && s.cfg.FileStreamRoot == "" && s.hub == nil && !s.cfg.ReduceMemoryUsage
}

// board makes a lane of c, which is among s.conns and counted in wg.
func (w *crew) board(c *conn, on *trunk.Conn) {
	v := &lane{c: c, on: on, crew: w}
	v.init()
	on.Await(v)
}

// Receive implements [trunk.Receiver].
func (v *lane) Receive(p []byte, ended bool) (taken int, done bool) {
	if v.odd = ended; !ended {
		if v.c.phase() == idle {
			v.c.enter(reading)
		}
		taken = v.read(p)
		if taken == 0 {
			return 0, false
		}
		v.odd = taken < 0
	}
	if v.odd {
		v.crew.add(v)
		v.crew.rally() // it may be any goroutine
		return 0, true
	}
	v.c.enter(running)
	v.came = v.crew.time()
	v.crew.add(v)
	return taken, true
}

// read copies and parses the request that p is, and returns its length; 0: more of
// it has to come; -1: it is not plain, or not the only one.
func (v *lane) read(p []byte) int {
	cfg := &v.c.s.cfg
	if p[0] < 'A' || p[0] > 'Z' || len(p) > loopedRequest {
		return -1
	}
	n := wire.HeadEnd(p, 0)
	if most := int(cfg.ReadBufferSize); n > most || n < 0 && len(p) >= most {
		return -1
	}
	if n < 0 {
		return 0
	}
	v.buf = append(v.buf[:0], p...)
	if v.head.Parse(v.buf[:n]) != nil || !v.plain(cfg, v.buf, n) {
		return -1
	}
	switch want := n + int(v.head.Length); {
	case len(p) < want:
		return 0
	case len(p) > want:
		return -1
	}
	return len(p)
}

// serve answers the request.
func (v *lane) serve(h *hand) {
	c, s := v.c, v.c.s
	if v.odd {
		v.leave()
		return
	}
	v.call = h.call
	v.fill(v.buf, v.came)
	err := s.invoke(v.call)
	h.tell(time.Now())
	lives := false
	switch {
	case err != nil && event.Abandoned(err):
		v.abandon(h, err)
		return
	case err == nil && !s.draining.Load() && v.quick():
		lives = v.answer(h)
	default:
		lives = s.answerOdd(c, v.buf, v.call, err)
	}
	v.call.clear()
	if !lives {
		v.end()
		return
	}
	c.served = true
	c.enter(idle)
	if cap(v.buf) > mostKept {
		v.buf = nil
	}
	v.on.Await(v)
}

// answer queues an answer that is quick, or writes it if there is no room. False:
// the connection has ended.
func (v *lane) answer(h *hand) bool {
	body := v.body()
	h.out = v.appendHead(h.out[:0], h.date, len(body))
	if len(body) <= gathered {
		h.out = append(h.out, body...)
		body = nil
	}
	for _, b := range [2][]byte{h.out, body} {
		if len(b) == 0 {
			continue
		}
		if v.on.Queue(b) {
			h.queued = true
			continue
		}
		v.crew.t.Flush() // what was queued must not wait for what is written
		if _, err := v.c.Write(b); err != nil {
			return false
		}
	}
	return true
}

// abandon answers for a function that runs on: the event, its memory and the lane
// are its own for good.
func (v *lane) abandon(h *hand, failed error) {
	k := newCall(v.c.s.source)
	k.ev.ID = slices.Clone(h.call.ev.ID)
	h.call = newCall(v.c.s.source)
	v.goOn(func() bool { return v.c.s.answerOdd(v.c, v.buf, k, failed) })
}

// leave gives the connection to a goroutine, with what came on it.
func (v *lane) leave() {
	c := v.c
	v.goOn(func() bool {
		switch {
		case c.phase() == idle:
			return c.more()
		case c.over():
			return tooSlow(c)
		}
		return true
	})
}

// more waits for a request as between two, and says whether some of one is there.
func (c *conn) more() bool {
	var b [1]byte
	n, _ := c.Read(b[:]) // an error is an end
	c.had = append(c.had, b[:n]...)
	return n > 0
}

// goOn serves the connection on a goroutine of its own, if first says so.
func (v *lane) goOn(first func() bool) {
	go func() { // which the connection's count in wg stands for
		if !first() {
			v.end()
			return
		}
		defer v.c.s.wg.Done()
		v.c.s.serveConn(v.c)
	}()
}

// end closes the connection.
func (v *lane) end() {
	_ = v.c.Close()
	v.c.s.forget(v.c)
	v.c.s.wg.Done()
}
