package redis

import (
	"bytes"
	"fmt"
	"iter"
	"strings"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/stream"
)

// record is an entry of a shard.
type record struct {
	entry
	offset int64
	key    []byte
}

// records are entries of one shard, read in place.
type records struct {
	src  *source
	all  []record
	name string // of the key
}

var _ stream.Records = (*records)(nil)

// batch makes a batch of entries. Those that are no longer in the stream are
// none.
func (s *source) batch(l stream.Lease, es []entry) (stream.Batch, error) {
	rs := &records{src: s, name: keyOf(l.Topic, l.Shard), all: make([]record, 0, len(es))}
	size := 0
	for _, e := range es {
		id, _ := e.id.(string)
		r := record{entry: e}
		var ok bool
		if r.offset, ok = offsetOf(id); !ok {
			return stream.Batch{}, fmt.Errorf("entry %s of %s: the number behind the time is above %d, and shards cannot count it", id, keyOf(l.Topic, l.Shard), mostID)
		}
		for i := 0; i+1 < len(e.fields); i += 2 {
			name, value := e.field(i)
			size += len(name) + len(value)
			if s.cfg.KeyField != "" && name == s.cfg.KeyField && r.key == nil {
				r.key = []byte(value)
			}
		}
		rs.all = append(rs.all, r)
	}
	return stream.Batch{Lease: l, Records: rs, Bytes: size + 100*len(es)}, nil
}

func (e *entry) field(i int) (name, value string) {
	name, _ = e.fields[i].(string)
	value, _ = e.fields[i+1].(string)
	return name, value
}

// Len implements [stream.Records].
func (r *records) Len() int { return len(r.all) }

// At implements [stream.Records].
func (r *records) At(i int) (int64, []byte) { return r.all[i].offset, r.all[i].key }

// Read implements [stream.Records].
func (r *records) Read(i int, ev *event.Event) {
	e := &r.all[i]
	body := -1
	if field := r.src.cfg.BodyField; field == "" {
		ev.Body, ev.ContentType = appendObject(nil, e.fields), []byte("application/json")
	} else {
		for k := 0; k+1 < len(e.fields); k += 2 {
			switch name, value := e.field(k); {
			case name == field && body < 0:
				body, ev.Body = k, []byte(value)
			case strings.EqualFold(name, contentType):
				ev.ContentType = []byte(value)
			}
		}
	}
	id, _ := e.id.(string)
	ev.ID, ev.Time = []byte(r.name+"/"+id), stamp(id)
	ev.Headers, ev.Fields = pairs{e, body}, pairs{e, -1}
}

// Release implements [stream.Records].
func (r *records) Release() {}

// pairs are the fields of an entry but for one.
type pairs struct {
	e    *record
	skip int
}

var _ event.Values = pairs{}

// All implements [event.Values].
func (p pairs) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for i := 0; i+1 < len(p.e.fields); i += 2 {
			if name, value := p.e.field(i); i != p.skip && !yield([]byte(name), []byte(value)) {
				return
			}
		}
	}
}

// Get implements [event.Values].
func (p pairs) Get(key string) []byte {
	for k, v := range p.All() {
		if bytes.EqualFold(k, []byte(key)) {
			return v
		}
	}
	return nil
}
