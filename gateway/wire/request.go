package wire

import (
	"bytes"
	"strconv"
)

// Request is the head of a request.
type Request struct {
	Method, Target []byte // the target begins with a slash, or is "*"
	Host           []byte // "" if an HTTP/1.0 client gave none
	Minor          int    // of HTTP/1.x
	Fields         Fields
	Length         int64 // of the body, or Chunked
	Close          bool  // the connection ends after the answer
	Continue       bool  // the client waits for 100 before it sends the body
	Upgrade        []byte
}

// Parse reads a head, which ends in an empty line. r aliases it; the memory of
// r's fields is used again.
func (r *Request) Parse(head []byte) error {
	first, rest, err := line(head)
	if err != nil {
		return err
	}
	*r = Request{Fields: r.Fields}
	if err := r.first(first); err != nil {
		return err
	}
	var fr framing
	if r.Fields, err = r.Fields.parse(rest, &fr); err != nil {
		return err
	}
	return r.settle(&fr)
}

// first parses "POST /path HTTP/1.1".
func (r *Request) first(l []byte) error {
	i, k := bytes.IndexByte(l, ' '), bytes.LastIndexByte(l, ' ')
	if i < 0 || i == k || !isToken(l[:i]) {
		return bad("the first line is no request")
	}
	r.Method, r.Target = l[:i], l[i+1:k]
	switch string(l[k+1:]) {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
	default:
		return &Error{505, "this entrance speaks HTTP/1.1, HTTP/1.0 and HTTP/2"}
	}
	for _, c := range r.Target {
		if c <= ' ' || c == 0x7f || c == '#' {
			return bad("the target has a character that must be escaped")
		}
	}
	return nil
}

// settle checks what the headers say together.
func (r *Request) settle(fr *framing) error {
	if err := r.target(); err != nil {
		return err
	}
	switch {
	case fr.hosts > 1:
		return bad("more than one Host")
	case fr.hosts == 0 && r.Minor == 1:
		return bad("no Host")
	case fr.encodings > 0 && r.Minor == 0:
		return bad("Transfer-Encoding in HTTP/1.0")
	case fr.expect != nil && !equalFold(fr.expect, "100-continue"):
		return &Error{417, "an Expect other than 100-continue"}
	}
	if r.Host == nil {
		r.Host = fr.host
	}
	if !isHost(r.Host) {
		return bad("Host is no host")
	}
	if r.Length = fr.length; r.Length == -3 {
		r.Length = 0
	}
	r.Close = fr.close || r.Minor == 0 && !fr.keep
	r.Continue = fr.expect != nil && r.Minor == 1 && r.Length != 0
	if fr.upgrade && r.Minor == 1 && r.Length == 0 {
		r.Upgrade = r.Fields.Get("Upgrade")
	}
	return nil
}

// target takes the host out of "http://host/path".
func (r *Request) target() error {
	t := r.Target
	switch {
	case len(t) > 0 && t[0] == '/', string(t) == "*" && string(r.Method) == "OPTIONS":
		return nil
	case string(r.Method) == "CONNECT":
		return &Error{405, "CONNECT is for proxies"}
	}
	i := bytes.Index(t, []byte("://"))
	if i < 0 || !equalFold(t[:i], "http") && !equalFold(t[:i], "https") {
		return bad("the target is neither a path nor a URL")
	}
	t = t[i+3:]
	if r.Host, r.Target = t, []byte("/"); len(t) > 0 {
		if i := bytes.IndexAny(t, "/?"); i >= 0 {
			r.Host, r.Target = t[:i], t[i:]
		}
	}
	if len(r.Host) == 0 || r.Target[0] != '/' {
		return bad("the target is no URL")
	}
	return nil
}

// isHost lets through names, addresses and ports.
func isHost(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte(`"/\#?@<>^{|}`+"`"), c) >= 0 {
			return false
		}
	}
	return true
}

// Path is the target without its query.
func (r *Request) Path() []byte {
	if i := bytes.IndexByte(r.Target, '?'); i >= 0 {
		return r.Target[:i]
	}
	return r.Target
}

// AppendFirst appends the first line and the Host of a request for target.
func AppendFirst(b, method, target, host []byte) []byte {
	b = append(append(b, method...), ' ')
	b = append(append(b, target...), " HTTP/1.1\r\nHost: "...)
	return append(append(b, host...), "\r\n"...)
}

// AppendField appends one header. The value must not hold line ends.
func AppendField(b []byte, name string, value []byte) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

// AppendFields appends fs but for what is a connection's own, and what skip
// asks to leave out.
func AppendFields(b []byte, fs Fields, skip func(*Field) bool) []byte {
	for i := range fs {
		f := &fs[i]
		if f.Hop || skip != nil && skip(f) {
			continue
		}
		b = append(append(b, f.Name...), ": "...)
		b = append(append(b, f.Value...), "\r\n"...)
	}
	return b
}

// AppendLength appends the header that frames a body.
func AppendLength(b []byte, length int64) []byte {
	if length == Chunked {
		return append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	return append(strconv.AppendInt(b, length, 10), "\r\n"...)
}
