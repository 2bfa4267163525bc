package upstream

import (
	"time"

	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/wire"
	"github.com/myelin-run/myelin/processor/trunk"
)

// mostLanded is how long a body may be that is answered without a goroutine.
const mostLanded = 64 << 10

// Flight is an exchange that needs no goroutine while nothing is there to be done.
// Its life: Begin; then the call is told that it landed, or Forgo ends that; if it
// did not land whole, Finish, on a goroutine. Then it may be used again.
type Flight struct {
	x  exchange
	on *trunk.Conn // that its answer comes on
	no error       // why it cannot begin
}

// Batch is requests that are sent at once. One goroutine uses it.
type Batch struct{ rails []*rail }

// Flush sends what was begun since it was called last.
func (b *Batch) Flush() {
	for i, r := range b.rails {
		r.Flush()
		b.rails[i] = nil
	}
	b.rails = b.rails[:0]
}

func (b *Batch) add(r *rail) {
	for _, had := range b.rails {
		if had == r {
			return
		}
	}
	b.rails = append(b.rails, r)
}

// rail is a trunk and the flights that landed with its last read.
type rail struct {
	*trunk.Trunk
	p      *Pool
	landed []*Flight
}

// Begin passes the call's request on, all of which is there, with the next Flush
// of b. The caller has entered. False: it is for Finish, which is not waited for.
func (f *Flight) Begin(p *Pool, c *front.Call, o *Order, b *Batch) bool {
	x := &f.x
	x.p, x.c, x.o, x.l, x.gone, x.late = p, c, o, nil, false, false
	x.sending, x.sent = nil, nil
	if _, f.no = x.prepare(); f.no != nil || !x.small || o.Hold != nil {
		return false
	}
	l := p.takeLane()
	if l == nil {
		return false
	}
	if x.l = l; o.Timeout > 0 {
		l.timed = true
		_ = l.SetReadDeadline(time.Now().Add(o.Timeout)) // the flight or the read says so
	}
	if !l.on.Queue(c.Out) {
		x.give(false)
		return false
	}
	f.on = l.on
	b.add(l.rail)
	f.on.Await(f)
	return true
}

// Receive implements [trunk.Receiver]. A plain answer that is whole is passed on
// at once; what else comes is left for Finish.
func (f *Flight) Receive(p []byte, ended bool) (taken int, done bool) {
	c, whole := f.x.c, false
	if !ended {
		n := f.plain(p)
		if n == 0 {
			return 0, false
		}
		whole = n > 0 && f.pass(p[n:])
	}
	if !whole {
		c.Landed(false)
		return 0, true
	}
	r := f.x.l.rail
	r.landed = append(r.landed, f)
	return len(p), true
}

// plain returns the length of the head if p is a plain answer, 0 if more of it has
// to come, and -1 if it is something else.
func (f *Flight) plain(p []byte) int {
	n := wire.HeadEnd(p, 0)
	if n < 0 {
		if len(p) > mostLanded {
			return -1
		}
		return 0
	}
	r := &f.x.c.Resp
	if err := r.Parse(p[:n], string(f.x.c.Req.Method) == "HEAD"); err != nil {
		return -1
	}
	switch length := int64(len(p) - n); {
	case r.Status < 200, r.Close, r.Length < 0, r.Length > mostLanded, r.Length < length:
		return -1
	case r.Length > length:
		return 0
	}
	return n
}

// pass writes the answer, whose head was parsed.
func (f *Flight) pass(body []byte) bool {
	c := f.x.c
	f.x.hide()
	if f.x.o.Answered != nil {
		f.x.o.Answered(c)
	}
	err := c.Head(&c.Resp)
	if err == nil {
		_, err = c.Write(body)
	}
	if err == nil {
		err = c.End()
	}
	if err != nil {
		c.Abort()
	}
	return true
}

// settle gives back what the flights had that landed, and tells their calls.
func (r *rail) settle() {
	if len(r.landed) == 0 {
		return
	}
	now := time.Now()
	for _, f := range r.landed {
		f.x.l.untimed() // if it has ended, it is not used again
	}
	r.p.mu.Lock()
	for _, f := range r.landed {
		r.p.shelve(f.x.l, now)
		f.x.l = nil
	}
	r.p.less(len(r.landed))
	r.p.mu.Unlock()
	for i, f := range r.landed {
		r.landed[i] = nil
		f.x.c.Landed(true)
	}
	r.landed = r.landed[:0]
}

// Forgo takes a flight that was begun out of the trunk's hands: it is for Finish.
// False: it has landed.
func (f *Flight) Forgo() bool { return f.on.Forgo(f) }

// Finish does the rest of a flight that did not land whole, and returns what
// Exchange would.
func (f *Flight) Finish() error { return f.x.run(true, f.no) }
