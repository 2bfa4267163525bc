// Package wire reads and writes the messages of HTTP/1.1 as an entrance must:
// every byte is checked, and what two readers could understand in two ways is
// refused. Heads are parsed where they lie and written without being copied
// field by field. It knows bytes and readers, and nothing of routes, functions
// and sockets.
package wire

import (
	"bytes"
	"fmt"
)

// Lengths of a body that are not a number of bytes.
const (
	Chunked  int64 = -1
	TillEOF  int64 = -2 // answers only
	maxDigit       = 18 // of a Content-Length
)

// Error is a message that is refused, with the status that says so.
type Error struct {
	Status int
	Detail string
}

func (e *Error) Error() string { return e.Detail }

func bad(format string, args ...any) error { return &Error{400, fmt.Sprintf(format, args...)} }

// Field is one header. Its slices alias the head that was parsed.
type Field struct {
	Name, Value []byte
	// Hop says that the field is for this connection alone.
	Hop bool
}

// Is says whether the field has this name, which is given in any case.
func (f *Field) Is(name string) bool { return equalFold(f.Name, name) }

// Fields are the headers of a message, in order.
type Fields []Field

// Get returns the first value of a header, nil if there is none.
func (fs Fields) Get(name string) []byte {
	for i := range fs {
		if len(fs[i].Name) == len(name) && equalFold(fs[i].Name, name) {
			return fs[i].Value
		}
	}
	return nil
}

func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c != s[i] && lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// tokens has 1 for each byte that may be in a method or the name of a header,
// and 2 for each that may be in a value.
var tokens = func() (t [256]byte) {
	for c := range 256 {
		if c > ' ' && c < 0x7f && bytes.IndexByte([]byte(`"(),/:;<=>?@[\]{}`), byte(c)) < 0 {
			t[c] |= 1
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= 2
		}
	}
	return t
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if tokens[c]&1 == 0 {
			return false
		}
	}
	return len(b) > 0
}

func isValue(b []byte) bool {
	for _, c := range b {
		if tokens[c]&2 == 0 {
			return false
		}
	}
	return true
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// line cuts the first line off, which must end in CR LF.
func line(b []byte) (first, rest []byte, err error) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, bad("a line does not end in CR LF")
	}
	return b[:i-1], b[i+1:], nil
}

// framing is what the headers of a message say of its body and connection.
type framing struct {
	length    int64 // -3: nothing is said
	close     bool
	keep      bool
	upgrade   bool
	listed    bool // Connection names fields
	host      []byte
	hosts     int
	expect    []byte
	encodings int
}

// parse reads the fields that follow the first line, up to the empty one.
func (fs Fields) parse(b []byte, fr *framing) (Fields, error) {
	fs = fs[:0]
	fr.length = -3
	for {
		l, rest, err := line(b)
		if err != nil {
			return fs, err
		}
		b = rest
		if len(l) == 0 {
			break
		}
		if l[0] == ' ' || l[0] == '\t' {
			return fs, bad("a header goes on over several lines")
		}
		i := bytes.IndexByte(l, ':')
		if i < 0 || !isToken(l[:i]) {
			return fs, bad("a header has no proper name")
		}
		f := Field{Name: l[:i], Value: trim(l[i+1:])}
		if !isValue(f.Value) {
			return fs, bad("the header %s has a control character", f.Name)
		}
		if err := fr.heed(&f); err != nil {
			return fs, err
		}
		fs = append(fs, f)
	}
	if len(b) != 0 {
		return fs, bad("bytes follow the head")
	}
	if fr.listed {
		fs.hops()
	}
	if fr.encodings > 0 {
		if fr.length >= 0 {
			return fs, bad("both Content-Length and Transfer-Encoding")
		}
		fr.length = Chunked
	}
	return fs, nil
}

// heed takes what the field says of framing.
func (fr *framing) heed(f *Field) error {
	switch len(f.Name) {
	case 2:
		f.Hop = f.Is("te")
	case 4:
		if f.Is("host") {
			fr.hosts++
			fr.host = f.Value
		}
	case 6:
		if f.Is("expect") {
			fr.expect = f.Value
			f.Hop = true
		}
	case 7:
		f.Hop = f.Is("upgrade") || f.Is("trailer")
	case 10:
		switch {
		case f.Is("connection"):
			f.Hop = true
			fr.options(f.Value)
		case f.Is("keep-alive"):
			f.Hop = true
		}
	case 14:
		if f.Is("content-length") {
			f.Hop = true
			return fr.contentLength(f.Value)
		}
	case 16:
		f.Hop = f.Is("proxy-connection")
	case 17:
		if f.Is("transfer-encoding") {
			f.Hop = true
			return fr.transferEncoding(f.Value)
		}
	case 18, 19:
		f.Hop = f.Is("proxy-authenticate") || f.Is("proxy-authorization")
	}
	return nil
}

func (fr *framing) contentLength(v []byte) error {
	if fr.length != -3 {
		return bad("more than one Content-Length")
	}
	if len(v) == 0 || len(v) > maxDigit {
		return bad("Content-Length is no number of bytes")
	}
	n := int64(0)
	for _, c := range v {
		if c < '0' || c > '9' {
			return bad("Content-Length is no number of bytes")
		}
		n = n*10 + int64(c-'0')
	}
	fr.length = n
	return nil
}

func (fr *framing) transferEncoding(v []byte) error {
	fr.encodings++
	if fr.encodings > 1 || !equalFold(v, "chunked") {
		return &Error{501, "a Transfer-Encoding other than chunked"}
	}
	return nil
}

// options reads a Connection header.
func (fr *framing) options(v []byte) {
	for len(v) > 0 {
		option := v
		if i := bytes.IndexByte(v, ','); i >= 0 {
			option, v = v[:i], v[i+1:]
		} else {
			v = nil
		}
		switch option = trim(option); {
		case equalFold(option, "close"):
			fr.close = true
		case equalFold(option, "keep-alive"):
			fr.keep = true
		case equalFold(option, "upgrade"):
			fr.upgrade = true
		case len(option) > 0:
			fr.listed = true
		}
	}
}

// hops marks the fields that Connection names. Those that routing, framing
// and policies rest upon cannot be taken away so.
func (fs Fields) hops() {
	for i := range fs {
		if !fs[i].Is("connection") {
			continue
		}
		for option := range bytes.SplitSeq(fs[i].Value, []byte(",")) {
			option = trim(option)
			for k := range fs {
				if !bytes.EqualFold(fs[k].Name, option) || fs[k].Is("host") || fs[k].Is("authorization") || fs[k].Is("cookie") || fs[k].Is("content-type") {
					continue
				}
				fs[k].Hop = true
			}
		}
	}
}
