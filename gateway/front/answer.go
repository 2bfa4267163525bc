package front

import (
	"fmt"
	"io"

	"github.com/myelin-run/myelin/gateway/wire"
)

// answer writes the answers of an HTTP/1.1 connection.
type answer conn

// Head implements [Answer].
func (a *answer) Head(r *wire.Response) error {
	c := (*conn)(a)
	c.left = r.Length
	if c.left < 0 {
		c.left = wire.Chunked
		if c.call.Req.Minor == 0 {
			c.left, c.close = wire.TillEOF, true
		}
	}
	if !c.close && !c.call.Body.Done() && c.call.Req.Continue {
		c.close = true // a body that was not asked for may come all the same
	}
	out := wire.AppendStatus(c.out[:0], r.Status, r.Reason)
	out = wire.AppendFields(out, r.Fields, nil)
	switch {
	case r.Status < 200:
	case c.left == wire.Chunked:
		out = wire.AppendLength(out, wire.Chunked)
	case r.Declared >= 0:
		out = wire.AppendLength(out, r.Declared)
	case c.left >= 0 && r.Status != 204 && r.Status != 304:
		if c.left > 0 || string(c.call.Req.Method) != "HEAD" {
			out = wire.AppendLength(out, c.left)
		}
	}
	switch {
	case r.Status == 101:
		out = wire.AppendField(out, "Connection", []byte("Upgrade"))
		out = wire.AppendField(out, "Upgrade", r.Fields.Get("Upgrade"))
	case c.close || c.s.draining.Load():
		c.close = true
		out = wire.AppendField(out, "Connection", []byte("close"))
	case c.call.Req.Minor == 0:
		out = wire.AppendField(out, "Connection", []byte("keep-alive"))
	}
	out = append(out, "\r\n"...)
	c.out = out
	return nil
}

// Write implements [Answer].
func (a *answer) Write(p []byte) (int, error) {
	c := (*conn)(a)
	n := len(p)
	switch {
	case n == 0:
		return 0, nil
	case c.left == wire.Chunked:
		c.out = wire.AppendChunk(c.out, p)
	case c.left == wire.TillEOF:
		c.out = append(c.out, p...)
	case int64(n) > c.left:
		return 0, fmt.Errorf("%d bytes more than the answer said", int64(n)-c.left)
	default:
		c.left -= int64(n)
		if !c.kept && len(c.out)+n > mostOut && n > mostOut/2 { // do not copy what is large
			if err := a.Flush(); err != nil {
				return 0, err
			}
			return n, c.write(p)
		}
		c.out = append(c.out, p...)
	}
	if len(c.out) >= mostOut {
		return n, a.Flush()
	}
	return n, nil
}

// Flush implements [Answer].
func (a *answer) Flush() error {
	c := (*conn)(a)
	if len(c.out) == 0 || c.kept {
		return nil
	}
	err := c.write(c.out)
	c.out = c.out[:0]
	if err != nil {
		c.call.aborted = true
	}
	return err
}

// End implements [Answer].
func (a *answer) End() error {
	c := (*conn)(a)
	switch {
	case c.left == wire.Chunked:
		c.out = append(c.out, "0\r\n\r\n"...)
	case c.left > 0:
		c.call.aborted = true
		return io.ErrUnexpectedEOF
	}
	return a.Flush()
}
