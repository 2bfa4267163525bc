package front

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/gateway/wire"
	"github.com/myelin-run/myelin/platform/local/graceful"
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// isH2 says whether a connection begins as one of HTTP/2 does.
func isH2(br *bufio.Reader) bool {
	for n := 1; n <= len(preface); n++ {
		p, err := br.Peek(max(n, min(br.Buffered(), len(preface))))
		n = len(p)
		if err != nil || string(p) != preface[:n] {
			return false
		}
		if n == len(preface) {
			return true
		}
	}
	return false
}

// begun is a connection of which something was read already.
type begun struct {
	net.Conn
	br *bufio.Reader
}

func (b *begun) Read(p []byte) (int, error) {
	if b.br.Buffered() > 0 {
		return b.br.Read(p)
	}
	return b.Conn.Read(p)
}

// channel is a listener of connections that were accepted elsewhere.
type channel struct {
	in   chan net.Conn
	once sync.Once
	done chan struct{}
}

func newChannel() *channel { return &channel{in: make(chan net.Conn), done: make(chan struct{})} }

func (l *channel) Accept() (net.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *channel) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *channel) Addr() net.Addr { return &net.TCPAddr{} }

// toH2 hands a connection to the standard library's server.
func (s *Server) toH2(c *conn, nc net.Conn) {
	c.quit.Store(true)
	select {
	case s.h2in.in <- nc:
	case <-s.h2in.done:
		_ = nc.Close()
	}
}

func (s *Server) newH2() *graceful.Server {
	g := graceful.New(http.HandlerFunc(s.serveH2))
	g.HTTP.ReadHeaderTimeout = s.Head
	g.HTTP.IdleTimeout = s.Idle
	g.HTTP.MaxHeaderBytes = s.MaxHeader
	g.HTTP.ErrorLog = slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)
	g.HTTP.Protocols = new(http.Protocols)
	g.HTTP.Protocols.SetHTTP1(true) // what a client speaks that lied in its preface
	g.HTTP.Protocols.SetHTTP2(true)
	g.HTTP.Protocols.SetUnencryptedHTTP2(true)
	return g
}

// serveH2 makes a call of a request of HTTP/2.
func (s *Server) serveH2(w http.ResponseWriter, r *http.Request) { ServeHTTP(s.handler, w, r) }

// ServeHTTP has h answer a request of the standard library's server.
func ServeHTTP(h Handler, w http.ResponseWriter, r *http.Request) {
	c := &Call{TLS: r.TLS != nil, H2: true}
	if c.Peer, _, _ = net.SplitHostPort(r.RemoteAddr); c.Peer == "" {
		c.Peer = r.RemoteAddr
	}
	c.Req = requestOf(r)
	length := c.Req.Length
	if length == wire.Chunked {
		length = wire.TillEOF
	}
	br := bufio.NewReaderSize(plain{r.Body}, 16<<10)
	c.Body.Reset(br, length)
	if length > 0 && length <= firstBuffer {
		_, _ = br.Peek(int(length)) // what is small is sent on as a whole; an error comes again
	}
	defer context.AfterFunc(r.Context(), c.left)()
	c.cut = func() { _ = http.NewResponseController(w).SetReadDeadline(past) } // a recorder has none
	a := &h2answer{w: w, c: c}
	c.begin(a, time.Now())
	h.Serve(c)
	if !c.ended || c.aborted {
		panic(http.ErrAbortHandler) // resets the stream
	}
}

// plain hides that the body says io.EOF with its last bytes or a closed body
// after its end.
type plain struct{ io.Reader }

func (p plain) Read(b []byte) (int, error) {
	if p.Reader == nil {
		return 0, io.EOF
	}
	n, err := p.Reader.Read(b)
	if errors.Is(err, http.ErrBodyReadAfterClose) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func requestOf(r *http.Request) wire.Request {
	q := wire.Request{Method: []byte(r.Method), Target: []byte(r.URL.RequestURI()), Host: []byte(r.Host), Minor: 1, Length: r.ContentLength}
	if r.ContentLength < 0 {
		q.Length = wire.Chunked
	}
	for name, values := range r.Header {
		for _, v := range values {
			f := wire.Field{Name: []byte(name), Value: []byte(v)}
			f.Hop = slices.Contains(hops, name)
			q.Fields = append(q.Fields, f)
		}
	}
	return q
}

var hops = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length", "Expect", "Proxy-Authorization", "Host"}

// h2answer writes to the standard library.
type h2answer struct {
	w http.ResponseWriter
	c *Call
}

// Head implements [Answer].
func (a *h2answer) Head(r *wire.Response) error {
	h := a.w.Header()
	for i := range r.Fields {
		if f := &r.Fields[i]; !f.Hop {
			h.Add(string(f.Name), string(f.Value))
		}
	}
	length := r.Length
	if r.Declared >= 0 {
		length = r.Declared
	}
	if length >= 0 && r.Status != http.StatusNoContent && r.Status != http.StatusNotModified {
		h.Set("Content-Length", string(itoa(length)))
	}
	a.w.WriteHeader(r.Status)
	return nil
}

func itoa(n int64) []byte {
	b := wire.AppendLength(nil, n)
	return b[len("Content-Length: ") : len(b)-2]
}

// Write implements [Answer].
func (a *h2answer) Write(p []byte) (int, error) { return a.w.Write(p) }

// Flush implements [Answer].
func (a *h2answer) Flush() error { return http.NewResponseController(a.w).Flush() }

// End implements [Answer].
func (a *h2answer) End() error { return nil }
