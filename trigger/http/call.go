package http

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
)

// maxKeptBody bounds the response buffer that a call keeps for its next event.
const maxKeptBody = 1 << 20

// call is all that one event needs; it is used again for another, so that an
// event costs no allocation. Its views read the request where it lies.
type call struct {
	ev     event.Event
	resp   event.Response
	header headers
	query  query
	id     [32]byte // our own: prefix and count
	prefix [16]byte // random, of this call; in hexadecimal
	count  uint64
	heed   func(k, v []byte) // see, made once
}

func newCall(src *event.Source) *call {
	c := &call{}
	c.ev.Source = src
	c.resp.Takes = event.TakesViews | event.TakesStreams
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], rand.Uint64())
	hex.Encode(c.prefix[:], seed[:])
	c.heed = c.see
	c.header.each = c.header.yield
	c.query.each = c.query.yield
	return c
}

// fill makes the event of a request. Nothing is copied: the event aliases ctx.
func (c *call) fill(ctx *fasthttp.RequestCtx) {
	h := &ctx.Request.Header
	c.header.h = h
	ev := &c.ev
	if ev.Time = ctx.Time(); ev.Time.IsZero() { // HTTP/2
		ev.Time = time.Now()
	}
	ev.Method, ev.Path, ev.URL = h.Method(), pathOf(ctx), h.RequestURI()
	ev.ContentType, ev.Body = h.ContentType(), ctx.Request.Body()
	ev.Headers, ev.Fields = &c.header, nil
	if bytes.IndexByte(ev.URL, '?') >= 0 {
		c.query.ctx = ctx
		ev.Fields = &c.query
	}
	ev.ID, ev.LogAsked = nil, false
	h.VisitAll(c.heed) // one pass costs less than two of fasthttp's look-ups
	if ev.ID == nil {
		c.name()
	}
}

// see heeds the headers that are the trigger's own business.
func (c *call) see(k, v []byte) {
	switch len(k) {
	case len(headerRequestID):
		if c.ev.ID == nil && string(k) == headerRequestID && sane(v) {
			c.ev.ID = v
		}
	case len(headerLogLevel):
		if string(k) == headerLogLevel {
			c.ev.LogLevel, c.ev.LogAsked = logLevel(v)
		}
	}
}

// name gives the event an id of our own: unique, and made without allocation.
func (c *call) name() {
	c.count++
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], c.count)
	copy(c.id[:], c.prefix[:])
	hex.Encode(c.id[16:], n[:])
	c.ev.ID = c.id[:]
}

// sane says that a caller's id may be used: 1 to 128 visible ASCII characters.
func sane(id []byte) bool {
	for _, b := range id {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= 128
}

// clear lets go of the request, and keeps the memory that is our own.
func (c *call) clear() {
	src := c.ev.Source
	c.ev = event.Event{Source: src}
	c.header.h, c.query.ctx = nil, nil
	if cap(c.resp.Body) > maxKeptBody {
		c.resp.Body = nil
	}
	c.resp.Reset()
}

// headers reads the headers of a request in place.
type headers struct {
	h    *fasthttp.RequestHeader
	each iter.Seq2[[]byte, []byte] // made once: a new closure would be an allocation
}

func (v *headers) Get(key string) []byte { return v.h.Peek(key) }

func (v *headers) All() iter.Seq2[[]byte, []byte] { return v.each }

// yield uses VisitAll, which unlike the header's own All allocates nothing.
func (v *headers) yield(yield func(k, v []byte) bool) {
	more := true
	v.h.VisitAll(func(k, val []byte) { more = more && yield(k, val) })
}

// query reads the arguments of a request; they are parsed when first asked for.
type query struct {
	ctx  *fasthttp.RequestCtx
	each iter.Seq2[[]byte, []byte]
}

func (v *query) Get(key string) []byte { return v.ctx.QueryArgs().Peek(key) }

func (v *query) All() iter.Seq2[[]byte, []byte] { return v.each }

func (v *query) yield(yield func(k, v []byte) bool) {
	more := true
	v.ctx.QueryArgs().VisitAll(func(k, val []byte) { more = more && yield(k, val) })
}
