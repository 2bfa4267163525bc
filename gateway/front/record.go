package front

import (
	"bufio"
	"bytes"
	"net/http"
	"time"

	"github.com/myelin-run/myelin/gateway/wire"
)

// Kept is an answer that can be given again.
type Kept struct {
	Status int         `json:"status"`
	Fields [][2]string `json:"fields,omitempty"`
	Body   []byte      `json:"-"`
}

// Size is about how much memory it takes.
func (k *Kept) Size() int {
	n := len(k.Body) + 64
	for _, f := range k.Fields {
		n += len(f[0]) + len(f[1]) + 32
	}
	return n
}

// Replay answers with k.
func (c *Call) Replay(k *Kept, more ...wire.Field) {
	fields := more
	for _, f := range k.Fields {
		fields = append(fields, F(f[0], f[1]))
	}
	c.reply(k.Status, k.Body, fields)
}

// Recorder keeps an answer up to a limit, and passes it on if it has to whom.
type Recorder struct {
	Kept
	To    Answer // nil: nobody
	Limit int    // of the body
	Over  bool   // it was longer
	Gone  bool   // To takes no more; what is kept goes on
	Whole bool   // it has ended
	// Before is called once, when the answer is whole up to its limit and
	// before To has the last of it. May be nil.
	Before func()

	passed int // how much of the body To has
}

// Head implements [Answer].
func (r *Recorder) Head(h *wire.Response) error {
	r.Status = h.Status
	for i := range h.Fields {
		if f := &h.Fields[i]; !f.Hop {
			r.Fields = append(r.Fields, [2]string{string(f.Name), string(f.Value)})
		}
	}
	if h.Length == 0 { // the head is all that there is
		r.before()
	}
	r.pass(func() error { return r.To.Head(h) })
	return nil
}

// before says that the answer is about to be whole.
func (r *Recorder) before() {
	if f := r.Before; f != nil && !r.Over {
		r.Before = nil
		f()
	}
}

// Write implements [Answer]. While there is a Before, the last byte is held back.
func (r *Recorder) Write(p []byte) (int, error) {
	rest := []byte(nil)
	switch held := r.Body[min(r.passed, len(r.Body)):]; {
	case r.Over || len(r.Body)+len(p) > r.Limit:
		rest, r.Over, r.Body = bytes.Clone(held), true, nil
		r.Before = nil
	default:
		r.Body = append(r.Body, p...)
		if r.Before != nil {
			r.hand(max(len(r.Body)-1, r.passed))
			return len(p), nil
		}
		r.passed = len(r.Body)
	}
	if len(rest) > 0 {
		r.pass(func() error { _, err := r.To.Write(rest); return err })
	}
	r.pass(func() error { _, err := r.To.Write(p); return err })
	return len(p), nil
}

// hand passes the body on up to a place.
func (r *Recorder) hand(to int) {
	if part := r.Body[r.passed:to]; len(part) > 0 {
		r.passed = to
		r.pass(func() error { _, err := r.To.Write(part); return err })
	}
}

// Flush implements [Answer].
func (r *Recorder) Flush() error {
	r.pass(func() error { return r.To.Flush() })
	return nil
}

// End implements [Answer].
func (r *Recorder) End() error {
	r.Whole = true
	r.before()
	if !r.Over {
		r.hand(len(r.Body))
	}
	r.pass(func() error { return r.To.End() })
	return nil
}

// pass does something with who takes the answer, as long as there is one.
func (r *Recorder) pass(do func() error) {
	if r.To != nil && !r.Gone {
		r.Gone = do() != nil
	}
}

// NewCall makes a call of a request that no connection waits for.
func NewCall(req wire.Request, body []byte, a Answer) *Call {
	c := &Call{Req: req}
	c.Refill(body)
	c.begin(a, time.Now())
	return c
}

// Refill puts back a body that was read whole.
func (c *Call) Refill(body []byte) {
	br := bufio.NewReaderSize(bytes.NewReader(body), max(len(body), 16))
	_, _ = br.Peek(len(body)) // it is there
	c.Req.Length, c.Req.Continue = int64(len(body)), false
	c.Body.Reset(br, c.Req.Length)
}

// reply answers with a whole body and these fields alone.
func (c *Call) reply(status int, body []byte, fields []wire.Field) {
	r := &c.Resp
	r.Status, r.Reason, r.Length, r.Declared = status, []byte(http.StatusText(status)), int64(len(body)), -1
	r.Fields = append(r.Fields[:0], fields...)
	if string(c.Req.Method) == "HEAD" {
		r.Declared, r.Length, body = r.Length, 0, nil
	}
	if status == http.StatusNoContent || status == http.StatusNotModified {
		r.Length, body = 0, nil
	}
	if c.Head(r) != nil {
		return
	}
	if len(body) > 0 {
		_, _ = c.Write(body) // End says so as well
	}
	_ = c.End() // a client that has gone is told nothing
}
