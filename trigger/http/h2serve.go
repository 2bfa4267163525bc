package http

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
)

// nobody drops what the library would print; see quiet.
var nobody = log.New(io.Discard, "", 0)

// h2request is a request of HTTP/2 as fasthttp has requests, so that all that is
// done for one of HTTP/1.1 is done for it by the same code.
type h2request struct {
	ctx     fasthttp.RequestCtx
	body    []byte
	reading h2body
}

// serve answers one request.
func (h *h2) serve(w http.ResponseWriter, r *http.Request) {
	x := h.free.Get().(*h2request)
	if status := h.take(x, w, r); status != 0 {
		h.free.Put(x)
		refuseH2(w, status)
		return
	}
	h.s.serve(&x.ctx)
	out := answer(&x.ctx)
	replyH2(w, r, out, h.s.draining.Load())
	if out != &x.ctx.Response {
		return // the function has the rest
	}
	x.ctx.Request.Reset()
	x.ctx.Response.Reset()
	x.ctx.ResetUserValues()
	if cap(x.body) > maxKeptBody {
		x.body = nil
	}
	h.free.Put(x)
}

// take makes fasthttp's request of r. It returns the status of a request that
// cannot be served, and panics if the client has gone.
func (h *h2) take(x *h2request, w http.ResponseWriter, r *http.Request) (status int) {
	most := int64(h.s.cfg.MaxRequestBodySize)
	if r.ContentLength > most {
		return http.StatusRequestEntityTooLarge
	}
	if err := h.read(x, w, r, most); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return http.StatusRequestTimeout
		}
		panic(http.ErrAbortHandler)
	}
	if int64(len(x.body)) > most {
		return http.StatusRequestEntityTooLarge
	}
	x.ctx.Init2(peerH2(r), quiet{}, false)
	q := &x.ctx.Request
	q.Header.SetMethod(r.Method)
	q.Header.SetRequestURI(r.RequestURI)
	q.Header.SetHost(r.Host)
	for k, vs := range r.Header {
		for _, v := range vs {
			q.Header.Add(k, v)
		}
	}
	q.SetBodyRaw(x.body)
	if len(x.body) > 0 {
		q.Header.SetContentLength(len(x.body))
	}
	return 0
}

// read reads the body of r, which has ReadTimeout for it.
func (h *h2) read(x *h2request, w http.ResponseWriter, r *http.Request, most int64) (err error) {
	if r.ContentLength == 0 {
		x.body = x.body[:0]
		return nil
	}
	h.late.add(&x.reading, h.s.ticks.Load(), w)
	defer h.late.remove(&x.reading)
	x.body, err = readBody(x.body[:0], r, most)
	return err
}

// readBody appends the body of r to b, up to one byte more than it may have.
func readBody(b []byte, r *http.Request, most int64) ([]byte, error) {
	if n := int(r.ContentLength); n > 0 {
		if cap(b) < n {
			b = make([]byte, n)
		}
		_, err := io.ReadFull(r.Body, b[:n])
		return b[:n], err
	}
	if cap(b) == 0 {
		b = make([]byte, 0, 4<<10)
	}
	for int64(len(b)) <= most {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Body.Read(b[len(b):min(int64(cap(b)), most+1)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

func refuseH2(w http.ResponseWriter, status int) {
	text := "request body is too large"
	if status == http.StatusRequestTimeout {
		text = "request did not arrive in time"
	}
	w.Header().Set("Content-Type", textPlain)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client sees what was written, or has gone
}

// plainH2 is the header of most answers; nobody changes it.
var plainH2 = []string{textPlain}

// small is how much of a body the library keeps until the handler has returned, and
// then says its length itself.
const small = 4 << 10

// replyH2 sends fasthttp's response.
func replyH2(w http.ResponseWriter, r *http.Request, out *fasthttp.Response, draining bool) {
	h := w.Header()
	out.Header.VisitAll(func(k, v []byte) {
		switch string(k) {
		case fasthttp.HeaderConnection, fasthttp.HeaderContentLength, fasthttp.HeaderTransferEncoding, fasthttp.HeaderTrailer:
			return // the library's own
		case fasthttp.HeaderContentType:
			if string(v) == textPlain {
				h[fasthttp.HeaderContentType] = plainH2
				return
			}
		case headerRequestID:
			h[headerRequestID] = []string{string(v)}
			return
		}
		key := string(k)
		h[key] = append(h[key], string(v))
	})
	if draining {
		h[fasthttp.HeaderConnection] = []string{"close"} // the library tells the client to begin no more
	}
	stream := out.BodyStream()
	if stream == nil {
		body := out.Body()
		if len(body) >= small || len(body) > 0 && r.Method == http.MethodHead {
			h[fasthttp.HeaderContentLength] = []string{strconv.Itoa(len(body))}
		}
		w.WriteHeader(out.StatusCode())
		_, _ = w.Write(body) // the client sees what was written, or has gone
		return
	}
	w.WriteHeader(out.StatusCode())
	err := pass(w, r, stream)
	if cerr := out.CloseBodyStream(); err == nil {
		err = cerr
	}
	if err != nil {
		panic(http.ErrAbortHandler) // a part never looks like the whole
	}
}

// pass sends a body as it is made. If it still is when the client goes, whoever
// makes it is told.
func pass(w http.ResponseWriter, r *http.Request, body io.Reader) error {
	if made, ok := body.(io.WriterTo); ok {
		_, err := made.WriteTo(w)
		return err
	}
	if c, ok := body.(event.Canceller); ok {
		defer context.AfterFunc(r.Context(), c.Cancel)()
	}
	flush := http.NewResponseController(w)
	if err := flush.Flush(); err != nil { // the client sees that there is an answer
		return err
	}
	b := make([]byte, 16<<10)
	for {
		n, err := body.Read(b)
		if n > 0 {
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			if err := flush.Flush(); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
