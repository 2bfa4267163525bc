package grpc

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/myelin-run/myelin/event"
)

// call is all that one event needs; it is used again for another.
type call struct {
	in      frame
	ev      event.Event
	resp    event.Response
	headers headers
	path    []byte
	url     []byte
	kind    []byte
	verb    []byte
	given   []byte   // the caller's id
	id      [32]byte // our own: prefix and count
	prefix  [16]byte // random, of this call; in hexadecimal
	count   uint64
}

func newCall(src *event.Source) *call {
	c := &call{}
	c.ev.Source = src
	c.headers.each = c.headers.yield
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], rand.Uint64())
	hex.Encode(c.prefix[:], seed[:])
	return c
}

// begin fills in what every event has. What a handler may write on is made anew.
func (c *call) begin(ctx context.Context) {
	ev := &c.ev
	ev.Time = time.Now()
	c.verb = append(c.verb[:0], "POST"...)
	ev.Method = c.verb
	ev.ContentType, ev.Body, ev.Fields = nil, nil, nil
	c.headers.clear()
	c.headers.ctx = ctx
	ev.Headers = &c.headers
	if given := c.headers.sent("x-request-id"); len(given) > 0 && sane(given[0]) {
		c.given = append(c.given[:0], given[0]...)
		ev.ID = c.given
		return
	}
	c.count++
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], c.count)
	copy(c.id[:], c.prefix[:])
	hex.Encode(c.id[16:], n[:])
	ev.ID = c.id[:]
}

// raw makes the event of a message of the user's own service.
func (c *call) raw(method string) {
	ev := &c.ev
	ev.Body = c.in.data
	c.kind = append(c.kind[:0], "application/protobuf"...)
	ev.ContentType = c.kind
	c.path = append(c.path[:0], method...)
	c.url = append(c.url[:0], method...)
	ev.Path, ev.URL = c.path, c.url
}

// sane says that a caller's id may be used: 1 to 128 visible ASCII characters.
func sane(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 128
}

// clear lets go of the message, and keeps the memory that is our own.
func (c *call) clear() {
	c.in.release()
	c.headers.clear()
	c.ev = event.Event{Source: c.ev.Source}
	if cap(c.resp.Body) > maxKept {
		c.resp.Body = nil
	}
	c.resp.Reset()
}
