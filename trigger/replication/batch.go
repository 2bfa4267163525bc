package replication

import (
	"bytes"
	"iter"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/stream"
)

// batch is a run of changes, in one piece of memory.
type batch struct {
	buf   []byte
	rows  []row
	spans []span // of columns that are headers
	free  chan<- *batch
}

// span is a piece of a batch's memory.
type span struct{ from, to int }

// row is one change. It is the headers of its event.
type row struct {
	in        *batch
	of        *relation
	offset    int64
	at        time.Time
	operation byte
	json      bool // the body is
	id        span
	key       span
	body      span
	heads     span // of spans: a column of of.shown each
}

var (
	_ stream.Records = (*batch)(nil)
	_ event.Values   = (*row)(nil)
)

// most of what a batch may keep for the next one.
const mostKept = 1 << 20

func (b *batch) reset() *batch {
	b.buf, b.spans = b.buf[:0], b.spans[:0]
	clear(b.rows)
	b.rows = b.rows[:0]
	return b
}

func (b *batch) at(s span) []byte { return b.buf[s.from:s.to:s.to] }

// since is what was written from a place on.
func (b *batch) since(from int) span { return span{from, len(b.buf)} }

// Len implements [stream.Records].
func (b *batch) Len() int { return len(b.rows) }

// At implements [stream.Records].
func (b *batch) At(i int) (int64, []byte) { return b.rows[i].offset, b.at(b.rows[i].key) }

var jsonType = []byte("application/json")

// Read implements [stream.Records].
func (b *batch) Read(i int, ev *event.Event) {
	r := &b.rows[i]
	ev.ID, ev.Body, ev.Time, ev.Headers = b.at(r.id), b.at(r.body), r.at, r
	if r.json {
		ev.ContentType = jsonType
	}
}

// Release implements [stream.Records].
func (b *batch) Release() {
	if cap(b.buf) > mostKept {
		return
	}
	select {
	case b.free <- b:
	default:
	}
}

// Get implements [event.Values].
func (r *row) Get(key string) []byte {
	for k, v := range r.All() {
		if len(k) == len(key) && bytes.EqualFold(k, []byte(key)) {
			return v
		}
	}
	return nil
}

var headerOperation, headerTable = []byte("operation"), []byte("table")

// All implements [event.Values].
func (r *row) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		if !yield(headerOperation, []byte(names[r.operation])) || !yield(headerTable, r.of.name) {
			return
		}
		for i, s := range r.in.spans[r.heads.from:r.heads.to] {
			if s.from < 0 {
				continue // null, or not told
			}
			if !yield([]byte(r.of.columns[r.of.shown[i]].name), r.in.at(s)) {
				return
			}
		}
	}
}
