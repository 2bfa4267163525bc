// Package front serves clients: it accepts their connections, reads their
// requests strictly and in bounded time, hands each to a handler, and ends
// without losing one. HTTP/1.1 is read here by package wire; HTTP/2, on TLS or
// in the clear, by the standard library, and looks the same to the handler. It
// knows nothing of routes, policies and functions.
package front

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/gateway/wire"
)

// Handler answers requests. It is called on the connection's goroutine, or on
// the stream's, and is done with the call when it returns.
type Handler interface {
	Serve(c *Call)
}

// Answer takes an answer: Head, then Write as often as there is something, then
// End. What is written is kept until Flush, End, or a full buffer.
type Answer interface {
	// Head begins the answer. Fields marked as hops are left out.
	Head(r *wire.Response) error
	Write(p []byte) (int, error)
	Flush() error
	End() error
}

// Call is one request and the way back. Its parts alias the connection's
// buffers until the handler returns.
type Call struct {
	Req   wire.Request
	Body  wire.Body
	Resp  wire.Response // for the handler's use; its memory is kept
	Peer  string        // the client's address without port
	TLS   bool
	H2    bool
	Began time.Time
	// Out and Back are the handler's scratch; their memory is kept.
	Out, Back []byte

	// Before may change the head of an answer, whoever gives it; nil: nobody does.
	Before func(*wire.Response)
	// Stay says that the call goes on when its client has gone.
	Stay bool
	// Brief says that calls like this one can be begun by a [Beginner].
	Brief bool
	// Flight is the handler's, of calls that it begins; it is kept for the next.
	Flight Flight
	// What the handler says of itself, for whoever observes it.
	Note Note

	answer Answer
	want   func() error // asks for the body; nil: it comes by itself
	cut    func()       // makes a read of the body that waits fail
	hijack func() (Tunnel, error)
	// Status and Sent say what was answered.
	Status  int
	Sent    int64
	started bool
	ended   bool
	aborted bool
	gone    atomic.Pointer[func()]
	land    func() // says that it has landed
	whole   bool   // and how
}

// Note is who served a call.
type Note struct {
	Route, Namespace, Function, Alias, Version, Subject string
	// Own says that the gateway answered by itself.
	Own bool
	// Claims looks up what was verified of the client; nil if nothing was.
	Claims func(name string) (string, bool)
}

func (c *Call) begin(a Answer, now time.Time) {
	c.answer, c.Began = a, now
	c.Note, c.Before, c.Stay, c.Brief = Note{}, nil, false, false
	c.Status, c.Sent = 0, 0
	c.started, c.ended, c.aborted = false, false, false
}

// Into makes a the taker of the answer and returns the one before.
func (c *Call) Into(a Answer) (before Answer) {
	before, c.answer = c.answer, a
	return before
}

// Started says that the answer has begun.
func (c *Call) Started() bool { return c.started }

// Want is called before the body is read.
func (c *Call) Want() error {
	if c.want == nil || !c.Req.Continue || c.started {
		return nil
	}
	c.Req.Continue = false
	return c.want()
}

// Break makes a read of the body fail that another goroutine waits in. The body
// can be read no more.
func (c *Call) Break() {
	if c.cut != nil {
		c.cut()
	}
}

// Head begins the answer.
func (c *Call) Head(r *wire.Response) error {
	c.started, c.Status = true, r.Status
	if c.Before != nil {
		c.Before(r)
	}
	return c.answer.Head(r)
}

// Write implements [io.Writer].
func (c *Call) Write(p []byte) (int, error) {
	n, err := c.answer.Write(p)
	c.Sent += int64(n)
	return n, err
}

// Flush sends what is kept.
func (c *Call) Flush() error { return c.answer.Flush() }

// End ends the answer.
func (c *Call) End() error {
	c.ended = true
	return c.answer.End()
}

// Abort breaks the answer off, so that the client sees that it is not whole.
func (c *Call) Abort() { c.aborted = true }

// Aborted says that the answer was broken off.
func (c *Call) Aborted() bool { return c.aborted }

// Watch has f called when the client goes away; nil ends that.
func (c *Call) Watch(f *func()) {
	if !c.Stay {
		c.gone.Store(f)
	}
}

func (c *Call) left() {
	if f := c.gone.Load(); f != nil {
		(*f)()
	}
}

// Tunnel is a connection that speaks HTTP no more.
type Tunnel interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	Close() error
}

// Hijack takes the connection over, after an answer that ended with Flush.
func (c *Call) Hijack() (Tunnel, error) {
	if c.hijack == nil {
		return nil, http.ErrNotSupported
	}
	c.ended = true
	return c.hijack()
}

// Reply answers with a whole body, for the gateway itself.
func (c *Call) Reply(status int, body []byte, fields ...wire.Field) {
	c.reply(status, body, append(fields, wire.Field{Name: []byte("Date"), Value: time.Now().UTC().AppendFormat(nil, http.TimeFormat)}))
}

// F makes a field.
func F(name, value string) wire.Field {
	return wire.Field{Name: []byte(name), Value: []byte(value)}
}

// problem is the body of what is refused before a handler sees it.
func problem(status int, detail string) []byte {
	return []byte(`{"title":` + strconv.Quote(http.StatusText(status)) + `,"status":` + strconv.Itoa(status) + `,"detail":` + strconv.Quote(detail) + "}\n")
}
