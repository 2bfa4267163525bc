package http

import (
	"io"
	"net"

	"github.com/myelin-run/myelin/event"
)

// streamed is a response that its function is still making. The server's sweep
// tells the function when the client has gone.
type streamed struct {
	io.ReadCloser
	cancel event.Canceller
	c      *conn
}

// watch has r cancelled when the client of c hangs up, if both can do that.
func watch(c net.Conn, r io.ReadCloser) io.ReadCloser {
	cancel, ok := r.(event.Canceller)
	own, known := c.(*conn)
	if !ok || !known {
		return r
	}
	s := &streamed{r, cancel, own}
	own.stream.Store(s)
	return s
}

// Close implements io.Closer.
func (s *streamed) Close() error {
	s.c.stream.Store(nil)
	return s.ReadCloser.Close()
}
