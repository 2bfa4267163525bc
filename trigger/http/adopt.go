package http

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/processor/epoll"
	"github.com/valyala/fasthttp"
)

// adopt takes c out of its loop and serves it, with what it has read of requests
// that were not begun, on a goroutine. before, if set, has its way first, and
// ends the connection if it returns false.
func (c *looped) adopt(before func(nc *conn) bool) {
	s := c.l.s
	nc := &conn{s: s, served: c.served, had: slices.Clone(c.in.Buf)}
	at := c.at
	c.l.forget(c)
	var err error
	nc.Conn, err = epoll.Give(c.fd)
	if err != nil { // out of descriptors
		s.wg.Done()
		return
	}
	nc.begun = c.served || s.plainOnly(nc.Conn)
	nc.at.Store(at)
	if before == nil && len(nc.had) > 0 {
		nc.at.Store(at - at%phases + reading)
	}
	s.mu.Lock()
	s.conns[nc] = struct{}{}
	s.mu.Unlock()
	go func() {
		defer s.wg.Done()
		if before == nil || before(nc) {
			s.serveConn(nc)
			return
		}
		_ = nc.Close()
		s.forget(nc)
	}()
}

// writeRest writes what a client that reads slowly has not taken.
func (c *looped) writeRest(rest []byte) {
	c.done()
	c.adopt(func(nc *conn) bool {
		_, err := nc.Write(rest)
		nc.again()
		return err == nil
	})
}

// done drops the request that was answered.
func (c *looped) done() {
	c.served = true
	c.in.Buf, c.want = c.in.Buf[c.want:], 0
}

// odd answers what the loop does not: failures, streams, and what is told in
// headers of the server's own. It does so as if fasthttp had had the request.
func (c *looped) odd(failed error) {
	request, k := slices.Clone(c.in.Buf[:c.want]), c.call
	if failed != nil && event.Abandoned(failed) {
		k = newCall(c.l.s.source) // the other is the function's for good, with the memory of the request
		k.ev.ID = slices.Clone(c.call.ev.ID)
		c.in.Buf = slices.Clone(c.in.Buf)
	}
	k.ev.ID = slices.Clone(k.ev.ID) // it may lie in the request
	c.call = nil
	c.done()
	s := c.l.s
	c.adopt(func(nc *conn) bool {
		lives := s.answerOdd(nc, request, k, failed)
		k.clear()
		s.calls.Put(k)
		return lives
	})
}

// answerOdd writes the answer and reports whether the connection lives on.
func (s *server) answerOdd(nc *conn, request []byte, k *call, failed error) bool {
	var ctx fasthttp.RequestCtx
	ctx.Init2(nc, quiet{}, true)
	if err := ctx.Request.Read(bufio.NewReaderSize(bytes.NewReader(request), len(request)+1)); err != nil {
		panic(fmt.Sprintf("a request that was served cannot be read: %v", err))
	}
	nc.enter(running)
	if failed != nil && event.Abandoned(failed) {
		s.refused(&ctx.Response, failed)
	} else {
		s.respond(&ctx, k, failed)
	}
	if s.draining.Load() {
		ctx.Response.SetConnectionClose()
	}
	w := bufio.NewWriter(nc)
	err := ctx.Response.Write(w)
	if err == nil {
		err = w.Flush()
	}
	last := ctx.Response.ConnectionClose()
	nc.again()
	return err == nil && !last
}

// tooSlow tells a client whose request did not arrive in time, and closes.
func (c *looped) tooSlow() {
	c.in.Buf = c.in.Buf[:0]
	c.adopt(tooSlow)
}

// tooSlow tells the client of nc that its request is late, and returns false: the
// connection is to be closed.
func tooSlow(nc *conn) bool {
	var resp fasthttp.Response
	fail(&resp, fasthttp.StatusRequestTimeout, "request did not arrive in time")
	resp.SetConnectionClose()
	w := bufio.NewWriter(nc)
	if resp.Write(w) == nil {
		_ = w.Flush() // the client may have gone
	}
	nc.early = true
	return false
}
