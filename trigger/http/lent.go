package http

import (
	"io"

	"github.com/myelin-run/myelin/event"
)

// lentBody is a body in the memory of the worker that answered. It is written
// from there to the connection, and then given back: fasthttp closes it once it
// is written, or cannot be.
type lentBody struct {
	s     *server
	view  []byte
	owner event.Owner
}

func (s *server) lent(resp *event.Response) *lentBody {
	b := s.bodies.Get().(*lentBody)
	b.view, b.owner = resp.View, resp.Owner
	return b
}

// WriteTo implements io.WriterTo, which spares the copy through a buffer.
func (b *lentBody) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b.view)
	b.view = b.view[n:]
	return int64(n), err
}

// Read implements io.Reader.
func (b *lentBody) Read(p []byte) (int, error) {
	if len(b.view) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.view)
	b.view = b.view[n:]
	return n, nil
}

// Close gives the memory back.
func (b *lentBody) Close() error {
	if b.owner != nil {
		b.owner.Release()
		b.view, b.owner = nil, nil
		b.s.bodies.Put(b)
	}
	return nil
}
