package http

import (
	"bytes"
	"iter"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/gateway/wire"
)

// message is a plain request and what answers it, as loops and lanes serve them.
type message struct {
	call   *call
	head   wire.Request
	fields fields
	args   args
}

func (m *message) init() {
	m.fields.init()
	m.args.init()
}

// plain says that a loop may serve the request in buf whose head, of n bytes,
// was parsed. What it leaves out fasthttp does.
func (m *message) plain(cfg *Config, buf []byte, n int) bool {
	h := &m.head
	get := string(h.Method) == "GET"
	switch {
	case h.Minor == 0, !plainHost(h.Host), h.Close, h.Continue, h.Upgrade != nil, h.Length < 0, h.Length > int64(cfg.MaxRequestBodySize),
		int64(n)+h.Length > loopedRequest, cfg.MaxHeaderBytes > 0 && n > int(cfg.MaxHeaderBytes),
		get && h.Length > 0, !get && string(h.Method) != "POST" && string(h.Method) != "PUT" && string(h.Method) != "DELETE" && string(h.Method) != "PATCH",
		buf[len(h.Method)+1] != '/', plainPath(h.Target) == 0, bytes.HasPrefix(h.Target, healthPath):
		return false
	}
	return plainFields(h.Fields, get)
}

var (
	keepAlive = []byte("keep-alive")
	noLength  = wire.Field{Name: []byte("Content-Length"), Value: []byte("0")}
)

// plainFields says that the headers are what fasthttp would give the function
// too: it writes cookies anew, knows one header of some names only, and drops
// others.
func plainFields(fs wire.Fields, get bool) bool {
	var cookies, types, agents int
	for i := range fs {
		f := &fs[i]
		switch len(f.Name) {
		case len("Cookie"): // and Expect
			if f.Is("expect") {
				return false
			}
			if f.Is("cookie") {
				if cookies++; cookies > 1 || !plainCookie(f.Value) {
					return false
				}
			}
		case len("Trailer"):
			if f.Is("trailer") {
				return false
			}
		case len("Connection"): // and User-Agent
			if f.Is("connection") && !bytes.EqualFold(f.Value, keepAlive) {
				return false
			}
			if f.Is("user-agent") {
				if agents++; len(f.Value) == 0 {
					return false
				}
			}
		case len("Content-Type"):
			if f.Is("content-type") {
				if types++; len(f.Value) == 0 {
					return false
				}
			}
		case len("Content-Length"):
			if f.Is("content-length") && (get || len(f.Value) > 1 && f.Value[0] == '0') {
				return false
			}
		}
	}
	return types < 2 && agents < 2
}

// plainHost says that a host is a name or address with or without a port.
func plainHost(h []byte) bool {
	name := h
	if i := bytes.IndexByte(h, ':'); i >= 0 {
		name = h[:i]
		for _, b := range h[i+1:] {
			if b < '0' || b > '9' {
				return false
			}
		}
		if n := len(h) - i - 1; n < 1 || n > 4 && (n > 5 || h[i+1] > '5') {
			return false
		}
	}
	for _, b := range name {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '.', b == '-', b == '_':
		default:
			return false
		}
	}
	return len(name) > 0
}

// plainCookie says that a list of cookies is written as "a=b; c=d".
func plainCookie(v []byte) bool {
	key := 0 // its length so far, -1 within a value
	for i, b := range v {
		switch {
		case b == ' ':
			if i == 0 || v[i-1] != ';' {
				return false
			}
		case b == ';':
			if key >= 0 || i+1 >= len(v) || v[i+1] != ' ' {
				return false
			}
			key = 0
		case b == '=' && key == 0:
			return false
		case b == '=' && key > 0:
			key = -1
		case key >= 0:
			key++
		}
	}
	return key < 0
}

// fill makes the event of the request that came then. It aliases the request,
// whose last bytes are the body.
func (m *message) fill(request []byte, came time.Time) {
	h, k := &m.head, m.call
	if string(h.Method) != "GET" && h.Fields.Get("Content-Length") == nil {
		h.Fields = append(h.Fields, noLength)
	}
	m.fields.fs = h.Fields
	ev := &k.ev
	ev.Time = came
	ev.Method, ev.URL = h.Method, h.Target
	ev.Path = h.Target[:plainPath(h.Target)]
	ev.ContentType = h.Fields.Get("Content-Type")
	n := len(request)
	ev.Body = request[n-int(h.Length) : n : n]
	ev.Headers, ev.Fields = &m.fields, nil
	if len(ev.Path) < len(ev.URL) {
		m.args.query, m.args.parsed = ev.URL[len(ev.Path)+1:], false
		ev.Fields = &m.args
	}
	ev.ID, ev.LogAsked = nil, false
	for i := range h.Fields {
		f := &h.Fields[i]
		canonical(f.Name)
		k.see(f.Name, f.Value)
	}
	if ev.ID == nil {
		k.name()
	}
}

// canonical writes a header's name as fasthttp does, so that the function finds
// it the same.
func canonical(name []byte) {
	up := true
	for i, b := range name {
		switch {
		case up && 'a' <= b && b <= 'z':
			name[i] = b - 'a' + 'A'
		case !up && 'A' <= b && b <= 'Z':
			name[i] = b - 'A' + 'a'
		}
		up = b == '-'
	}
}

// fields reads the headers of a plain request in place.
type fields struct {
	fs   wire.Fields
	each iter.Seq2[[]byte, []byte]
}

func (v *fields) init() { v.each = v.yield }

func (v *fields) Get(key string) []byte { return v.fs.Get(key) }

func (v *fields) All() iter.Seq2[[]byte, []byte] { return v.each }

func (v *fields) yield(yield func(k, v []byte) bool) {
	for i := range v.fs {
		if f := &v.fs[i]; !yield(f.Name, f.Value) {
			return
		}
	}
}

// args reads the arguments of a plain request, when first asked for.
type args struct {
	query  []byte
	parsed bool
	all    fasthttp.Args
	each   iter.Seq2[[]byte, []byte]
}

func (v *args) init() { v.each = v.yield }

func (v *args) parse() *fasthttp.Args {
	if !v.parsed {
		v.all.ParseBytes(v.query)
		v.parsed = true
	}
	return &v.all
}

func (v *args) Get(key string) []byte { return v.parse().Peek(key) }

func (v *args) All() iter.Seq2[[]byte, []byte] { return v.each }

func (v *args) yield(yield func(k, v []byte) bool) {
	more := true
	v.parse().VisitAll(func(k, val []byte) { more = more && yield(k, val) })
}
