package remote

import (
	"math"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// mark is where changes of a call's key are counted.
type mark struct {
	counter int
	count   uint32
	there   bool
}

// mark is taken before the key is read: what changes from then on moves the counter.
func (r *request) mark() (m mark) {
	if r.s.marks != nil {
		m.there = true
		m.counter, m.count = r.s.marks.Mark(r.call.Name, r.call.Path)
	}
	return m
}

// keep tells the worker that it may keep the value, and for how many nanoseconds: in
// the header Keep, with the counter and its count.
func (r *request) keep(m mark, until time.Time) {
	if !m.there || until.IsZero() {
		return
	}
	if left := time.Until(until); left > 0 {
		b := strconv.AppendInt(nil, int64(m.counter), 10)
		b = strconv.AppendUint(append(b, ' '), uint64(m.count), 10)
		b = strconv.AppendInt(append(b, ' '), int64(left), 10)
		r.answer.SetHeader("Keep", string(b))
	}
}

// kept counts what the worker says in the header Hits that it had itself, since it
// said so last.
func (r *request) kept(k *data.KV) {
	text, ok := r.header("Hits")
	if !ok {
		return
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n <= math.MaxUint32 {
		k.Kept(n)
	}
}
