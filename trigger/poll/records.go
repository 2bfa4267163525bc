package poll

import (
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/stream"
)

// records are the items of a page.
type records struct {
	first int64
	items []Item
}

var _ stream.Records = (*records)(nil)

// Len implements [stream.Records].
func (r *records) Len() int { return len(r.items) }

// At implements [stream.Records].
func (r *records) At(i int) (int64, []byte) { return r.first + int64(i), r.items[i].Event.Key }

// Read implements [stream.Records].
func (r *records) Read(i int, ev *event.Event) {
	it := &r.items[i].Event
	ev.ID, ev.Body, ev.Time, ev.Headers, ev.ContentType = it.ID, it.Body, it.Time, it.Headers, it.ContentType
}

// Release implements [stream.Records].
func (r *records) Release() {}
