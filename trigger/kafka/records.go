package kafka

import (
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/stream"
)

// records are what one poll brought of one shard; they lie where the client
// put them.
type records struct{ rs []*kgo.Record }

var spare = sync.Pool{New: func() any { return new(records) }}

// batchOf wraps what was polled. Where only committed records come, a shard
// ends for us before the first open transaction.
func batchOf(l stream.Lease, p *kgo.FetchPartition, committed bool) stream.Batch {
	r, _ := spare.Get().(*records)
	var through int64
	r.rs, through = unmarked(p.Records)
	size := 0
	for _, rec := range r.rs {
		size += len(rec.Key) + len(rec.Value) + overhead
		for i := range rec.Headers {
			size += len(rec.Headers[i].Key) + len(rec.Headers[i].Value) + overhead/2
		}
	}
	end := p.HighWatermark
	if committed && p.LastStableOffset >= 0 {
		end = p.LastStableOffset
	}
	return stream.Batch{Lease: l, Records: r, Bytes: size, End: end, Through: through}
}

// unmarked takes the marks of transactions out of what was polled. If a mark is
// the last, through is the offset behind it.
func unmarked(rs []*kgo.Record) (_ []*kgo.Record, through int64) {
	mark := func(r *kgo.Record) bool { return r.Attrs.IsControl() }
	if n := len(rs); n > 0 && mark(rs[n-1]) {
		through = rs[n-1].Offset + 1
	}
	if slices.ContainsFunc(rs, mark) {
		rs = slices.DeleteFunc(rs, mark)
	}
	return rs, through
}

// overhead is about what the client needs beside a record's bytes.
const overhead = 160

func (r *records) Len() int { return len(r.rs) }

func (r *records) At(i int) (int64, []byte) { return r.rs[i].Offset, r.rs[i].Key }

func (r *records) Read(i int, ev *event.Event) {
	rec := r.rs[i]
	ev.Body, ev.Time = rec.Value, rec.Timestamp
	if len(rec.Headers) == 0 {
		return
	}
	h := (*headers)(rec)
	ev.Headers, ev.ContentType = h, h.Get(contentType)
}

func (r *records) Release() {
	r.rs = nil
	spare.Put(r)
}

// headers reads a record's headers in place. It implements [event.Values].
type headers kgo.Record

func (h *headers) Get(key string) []byte {
	for i := range h.Headers {
		if strings.EqualFold(h.Headers[i].Key, key) {
			return h.Headers[i].Value
		}
	}
	return nil
}

func (h *headers) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for i := range h.Headers {
			if !yield([]byte(h.Headers[i].Key), h.Headers[i].Value) {
				return
			}
		}
	}
}
