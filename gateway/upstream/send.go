package upstream

import (
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/gateway/wire"
)

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// send begins to pass the body on, while the answer is waited for.
func (x *exchange) send() {
	x.sending = make(chan struct{})
	go func() {
		defer close(x.sending)
		x.sent = x.sendBody()
		if x.sent != nil && !errors.Is(x.sent, errFunction) {
			_ = x.l.SetReadDeadline(time.Unix(1, 0)) // no answer is worth waiting for
		}
	}()
}

// errFunction says that the function reads no more; it may have answered.
var errFunction = errors.New("the function reads no more")

func (x *exchange) sendBody() error {
	buf := buffers.Get().(*[32 << 10]byte)
	defer buffers.Put(buf)
	chunked := x.c.Req.Length == wire.Chunked
	var out []byte
	total := int64(0)
	for {
		n, err := x.c.Body.Read(buf[:])
		if total += int64(n); x.o.Limit > 0 && total > x.o.Limit {
			return ErrTooLarge
		}
		p := buf[:n]
		done := errors.Is(err, io.EOF) || err == nil && x.c.Body.Done()
		if chunked {
			out = out[:0]
			if n > 0 {
				out = wire.AppendChunk(out, p)
			}
			if done {
				out = append(out, "0\r\n\r\n"...)
			}
			p = out
		}
		if err != nil && !done {
			return errors.Join(ErrClient, err)
		}
		if len(p) > 0 {
			if _, werr := x.l.Write(p); werr != nil {
				return errors.Join(errFunction, werr)
			}
		}
		if done {
			return nil
		}
	}
}

// stopSending ends the sender, and says whether the whole body was sent.
func (x *exchange) stopSending() bool {
	if x.sending == nil {
		return true
	}
	select {
	case <-x.sending:
		return x.sent == nil
	case <-time.After(lateBody):
	}
	_ = x.l.SetWriteDeadline(time.Unix(1, 0))
	x.c.Break()
	<-x.sending
	return false
}

// lateBody is how long the rest of a body may take that is answered already.
const lateBody = 50 * time.Millisecond

// tunnel passes bytes both ways, after an answer of 101, until one side ends.
func (x *exchange) tunnel() error {
	if err := x.c.Head(&x.c.Resp); err != nil {
		x.give(false)
		return err
	}
	t, err := x.c.Hijack()
	if err != nil {
		x.give(false)
		x.c.Abort()
		return nil
	}
	defer x.give(false)
	ended := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // whatever ends it
		ended <- struct{}{}
	}
	go pass(x.l, t)
	go pass(t, x.l.br)
	<-ended
	_ = t.Close()
	_ = x.l.Close()
	<-ended
	return nil
}
