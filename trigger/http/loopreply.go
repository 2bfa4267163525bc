package http

import (
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
)

// gathered is the longest body that is copied behind its head, rather than
// written from where it lies by a call that takes both.
const gathered = 4 << 10

// quick says that the answer needs no fasthttp to be written.
func (m *message) quick() bool {
	resp := &m.call.resp
	if resp.Stream != nil || m.call.ev.LogAsked || resp.Status != 0 && (resp.Status < 200 || resp.Status > 599) ||
		resp.Status == fasthttp.StatusNoContent || resp.Status == fasthttp.StatusNotModified {
		return false
	}
	for i := range resp.Header {
		if !quickHeader(&resp.Header[i]) {
			return false
		}
	}
	return true
}

// ownHeaders are those that fasthttp has a hand in.
var ownHeaders = [...]string{"Date", "Server", "Connection", "Set-Cookie", "Content-Type", "Content-Length", "Transfer-Encoding", "Content-Encoding", "Trailer"}

// quickHeader says that a header of an answer can be written as it is.
func quickHeader(f *event.Field) bool {
	if !token(f.Key) {
		return false
	}
	for _, name := range ownHeaders {
		if len(name) == len(f.Key) && strings.EqualFold(f.Key, name) {
			return false
		}
	}
	return true
}

// answer writes an answer that is quick.
func (c *looped) answer() {
	l := c.l
	body := c.body()
	l.head = c.appendHead(l.head[:0], l.date, len(body))
	if len(body) <= gathered {
		l.head = append(l.head, body...)
		body = nil
	}
	var n int
	var err error
	if len(body) > 0 {
		n, err = unix.Writev(c.fd, [][]byte{l.head, body})
	} else {
		n, err = unix.Write(c.fd, l.head)
	}
	switch total := len(l.head) + len(body); {
	case err == nil && n == total:
		c.answered()
	case err == nil || err == unix.EAGAIN || err == unix.EINTR:
		c.writeRest(append(append(make([]byte, 0, total), l.head...), body...)[max(n, 0):])
	default:
		c.call.clear()
		c.close()
	}
}

// body is what the function answered, wherever that lies.
func (m *message) body() []byte {
	if m.call.resp.Owner != nil {
		return m.call.resp.View
	}
	return m.call.resp.Body
}

func (m *message) appendHead(b, date []byte, length int) []byte {
	resp := &m.call.resp
	status := resp.Status
	if status == 0 {
		status = fasthttp.StatusOK
	}
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(append(b, ' '), fasthttp.StatusMessage(status)...)
	b = append(append(b, "\r\nDate: "...), date...)
	b = append(b, "\r\nContent-Type: "...)
	if resp.ContentType == "" {
		b = append(b, textPlain...)
	} else {
		b = append(b, clean(resp.ContentType)...)
	}
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(length), 10)
	b = append(append(b, "\r\nX-Request-Id: "...), m.call.ev.ID...)
	for i := range resp.Header {
		f := &resp.Header[i]
		b = append(b, "\r\n"...)
		at := len(b)
		b = append(b, f.Key...)
		canonical(b[at:])
		b = append(append(b, ": "...), clean(f.Value)...)
	}
	return append(b, "\r\n\r\n"...)
}
