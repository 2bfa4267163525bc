package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/wire"
)

// Order says how a request is passed on.
type Order struct {
	Target  []byte // path and query
	Prefix  string // what was cut off the path
	Extra   []wire.Field
	Drop    func(*wire.Field) bool // of the client's fields; may be nil
	Timeout time.Duration          // until the answer begins; 0: none
	// Limit of the body; 0: none.
	Limit int64
	// Again allows a request to be sent a second time if its connection ended
	// before it was answered.
	Again bool
	// Hold is set where nobody may listen at the address yet; nil: somebody does.
	Hold *Hold
	// Answered may change the answer's head before the client gets it.
	Answered func(*front.Call)
}

// Errors of an exchange whose answer has not begun.
var (
	ErrTooLarge = errors.New("the body is too large")
	ErrTimeout  = errors.New("no answer in time")
	ErrHeld     = errors.New("nobody was there to answer in time")
	ErrClient   = errors.New("the client has gone or its request is broken")
)

// exchange is one request under way.
type exchange struct {
	p *Pool
	c *front.Call
	o *Order
	l *link
	// small says that the request goes over a trunk if there is one.
	small bool

	// Of a body that was not there as a whole when the request began.
	sending chan struct{} // closed when the sender has ended; nil: none began
	sent    error         // why, then
	mu      sync.Mutex
	gone    bool
	late    bool // it was held too long
}

// Exchange passes the call's request on and its answer back. The caller has
// entered. An error means that the client has been told nothing; what goes wrong
// later breaks the answer off.
func (p *Pool) Exchange(c *front.Call, o *Order) error {
	x := &exchange{p: p, c: c, o: o}
	whole, err := x.prepare()
	return x.run(whole, err)
}

// prepare makes the request as it is sent, with its body if all of that is there.
func (x *exchange) prepare() (ready bool, err error) {
	c, limit := x.c, x.o.Limit
	whole, ready := c.Body.Ready()
	if limit > 0 && (int64(len(whole)) > limit || c.Req.Length > limit) {
		return ready, ErrTooLarge
	}
	c.Out = x.head(c.Out[:0])
	if ready {
		c.Out = append(c.Out, whole...)
		c.Body.Take()
	}
	x.small = ready && len(c.Out) <= mostOnLane && len(c.Req.Upgrade) == 0
	return ready, nil
}

// run does what there is to do after prepare, or after the request was sent.
func (x *exchange) run(whole bool, err error) error {
	stop := x.hold()
	if err == nil {
		err = x.begin(whole)
	}
	stop()
	x.p.leave()
	if err != nil {
		x.give(false)
		return err
	}
	return x.answer()
}

// head appends the request's head as the function shall see it.
func (x *exchange) head(b []byte) []byte {
	r := &x.c.Req
	b = wire.AppendFirst(b, r.Method, x.o.Target, r.Host)
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Hop || own(f) || x.o.Drop != nil && x.o.Drop(f) {
			continue
		}
		b = append(append(b, f.Name...), ": "...)
		b = append(append(b, f.Value...), "\r\n"...)
	}
	b = append(append(append(b, "X-Forwarded-For: "...), x.c.Peer...), "\r\nX-Forwarded-Host: "...)
	b = append(append(b, r.Host...), "\r\nX-Forwarded-Proto: http"...)
	if x.c.TLS {
		b = append(b, 's')
	}
	b = append(b, "\r\n"...)
	if x.o.Prefix != "" {
		b = append(append(append(b, "X-Forwarded-Prefix: "...), x.o.Prefix...), "\r\n"...)
	}
	b = wire.AppendFields(b, x.o.Extra, nil)
	switch {
	case len(r.Upgrade) > 0:
		b = wire.AppendField(wire.AppendField(b, "Connection", []byte("Upgrade")), "Upgrade", r.Upgrade)
	case r.Length != 0 || hasBody(r.Method):
		b = wire.AppendLength(b, r.Length)
	}
	return append(b, "\r\n"...)
}

func hasBody(method []byte) bool {
	return string(method) == "POST" || string(method) == "PUT" || string(method) == "PATCH"
}

// own says that a field is the gateway's to give. Host has been written.
func own(f *wire.Field) bool {
	switch len(f.Name) {
	case 4:
		return f.Is("Host")
	case 9:
		return f.Is("Forwarded")
	case 15:
		return f.Is("X-Forwarded-For")
	case 16:
		return f.Is("X-Forwarded-Host") || f.Is("X-Myelin-Subject")
	case 17:
		return f.Is("X-Forwarded-Proto")
	case 18:
		return f.Is("X-Forwarded-Prefix")
	}
	return false
}

// begin sends the request and reads the head of the answer.
func (x *exchange) begin(whole bool) error {
	stop := func() { x.hangUp() }
	for {
		x.c.Watch(&stop) // give has ended that of the try before
		sent := x.l != nil
		if !sent {
			if err := x.connect(); err != nil {
				return err
			}
		}
		err := x.once(whole, sent)
		if err == nil {
			return nil
		}
		again, unheard := x.l.reused && x.o.Again && ended(err), x.unheard(err)
		if !whole || x.isGone() || !again && !unheard {
			return x.explain(err)
		}
		x.give(false)
		if unheard {
			<-time.After(lastKnock) // whoever keeps the address next needs longer
		}
	}
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || isReset(err)
}

func (x *exchange) connect() error {
	ctx, cancel := context.Background(), func() {}
	if x.o.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, x.o.Timeout)
	}
	defer cancel()
	l, err := x.take(ctx)
	if err != nil {
		return err
	}
	x.mu.Lock()
	x.l = l
	gone, late := x.gone, x.late
	x.mu.Unlock()
	switch {
	case gone:
		return ErrClient
	case late:
		return ErrHeld
	}
	if x.o.Timeout > 0 {
		l.timed = true
		_ = l.SetReadDeadline(time.Now().Add(x.o.Timeout)) // the read says so
	}
	return nil
}

// once sends the request on one connection, unless it was sent, and reads the
// head of the answer.
func (x *exchange) once(whole, sent bool) (err error) {
	if !sent {
		_, err = x.l.Write(x.c.Out)
	}
	if err == nil && !whole {
		if err = x.c.Want(); err != nil {
			return errors.Join(ErrClient, err)
		}
		x.send()
	}
	// A server may answer before it has read everything, and say why.
	if rerr := x.readHead(); rerr != nil {
		return errors.Join(rerr, err)
	}
	return nil
}

func (x *exchange) readHead() error {
	for {
		b, err := wire.ReadHead(x.l.br, x.c.Back[:0])
		if err != nil {
			return err
		}
		x.c.Back = b
		if err := x.c.Resp.Parse(b, string(x.c.Req.Method) == "HEAD"); err != nil {
			return err
		}
		if s := x.c.Resp.Status; s >= 200 || s == 101 && len(x.c.Req.Upgrade) > 0 {
			return nil
		}
	}
}

// explain tells whose fault it was that no answer came.
func (x *exchange) explain(err error) error {
	if x.sending != nil {
		x.stopSending()
		if errors.Is(x.sent, ErrTooLarge) || errors.Is(x.sent, ErrClient) {
			return x.sent
		}
	}
	switch {
	case x.isLate():
		return ErrHeld
	case x.isGone():
		return ErrClient
	case x.o.Timeout > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	}
	return err
}

// give returns the connection, or closes it.
func (x *exchange) give(keep bool) {
	x.c.Watch(nil)
	x.mu.Lock()
	l := x.l
	x.l = nil
	gone := x.gone
	x.mu.Unlock()
	switch {
	case l == nil:
	case keep && !gone:
		x.p.put(l)
	default:
		_ = l.Close()
	}
}

// hangUp is called when the client has gone.
func (x *exchange) hangUp() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.gone = true
	if x.l != nil {
		_ = x.l.SetDeadline(time.Unix(1, 0))
	}
}

func (x *exchange) isGone() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.gone
}

var refusedHeader = []byte("X-Myelin-Refused")

// hide leaves out what is the gateway's word alone.
func (x *exchange) hide() {
	for i := range x.c.Resp.Fields {
		if f := &x.c.Resp.Fields[i]; len(f.Name) == len(refusedHeader) && bytes.EqualFold(f.Name, refusedHeader) {
			f.Hop = true
		}
	}
}

// answer passes the answer on.
func (x *exchange) answer() error {
	r := &x.c.Resp
	x.hide()
	if x.l.timed {
		_ = x.l.SetReadDeadline(time.Time{}) // the answer has begun in time
	}
	if x.o.Answered != nil {
		x.o.Answered(x.c)
	}
	if r.Status == 101 {
		return x.tunnel()
	}
	err := x.c.Head(r)
	var body wire.Body
	body.Reset(x.l.br, r.Length)
	if err == nil {
		err = x.copy(&body)
	}
	if err == nil {
		err = x.c.End()
	}
	clean := x.stopSending()
	x.c.Brief = x.l.lane && r.Length >= 0 && r.Length <= mostLanded
	if err != nil {
		x.c.Abort()
	}
	x.give(err == nil && clean && !r.Close && body.Done() && x.l.br.Buffered() == 0)
	return nil
}

var buffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// copy sends the body of the answer as it comes.
func (x *exchange) copy(body *wire.Body) error {
	if p, ready := body.Ready(); ready {
		if len(p) == 0 {
			return nil
		}
		_, err := x.c.Write(p)
		body.Take()
		return err
	}
	buf := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buf)
	for {
		if !body.Pending() {
			if err := x.c.Flush(); err != nil {
				return err
			}
		}
		n, err := body.Read(buf[:])
		if n > 0 {
			if _, werr := x.c.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
