package kinesis

import (
	"fmt"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/stream"
)

// part is a record as its producer knows it: one of the service's, or one of several
// that are in one.
type part struct {
	number  int64
	of      *record
	sub     int
	several bool
	key     string
	data    []byte
}

// records are those of a batch.
type records struct {
	shard int32
	all   []part
}

var _ stream.Records = (*records)(nil)

// Len implements [stream.Records].
func (rs *records) Len() int { return len(rs.all) }

// At implements [stream.Records].
func (rs *records) At(i int) (int64, []byte) {
	r := &rs.all[i]
	if r.key == "" {
		return r.number, nil
	}
	return r.number, []byte(r.key)
}

// Read implements [stream.Records]. The id is the one that the service's own
// readers give the record, so it is the same whoever reads it.
func (rs *records) Read(i int, ev *event.Event) {
	r := &rs.all[i]
	ev.Body = r.data
	ev.Time = r.of.time()
	ev.ID = fmt.Appendf(nil, "%s:%s", idOf(rs.shard), r.of.SequenceNumber)
	if r.several {
		ev.ID = fmt.Appendf(ev.ID, ":%d", r.sub)
	}
}

// Release implements [stream.Records]. Nothing is used again.
func (rs *records) Release() {}
