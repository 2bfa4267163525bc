// Package wire says how events, responses, log records and calls are written in
// shared memory: pure encoding and decoding, with nothing believed. It knows
// neither memory nor processes; the format is docs/reference/shared-memory.md.
package wire

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// MetaFixed is the length of the fixed part of a request's metadata: four
// numbers, the counts, and the lengths of ten strings.
const MetaFixed = 88

// ErrMalformed says that a worker wrote something that the format forbids.
var ErrMalformed = errors.New("malformed response")

// MetaWriter builds the metadata of a request. It is used again and again, and
// then allocates nothing: add is made once, because a closure handed to an
// unknown iterator would be allocated at each event.
type MetaWriter struct {
	Buf   []byte
	pairs uint32
	add   func(k, v []byte) bool
}

// NewMetaWriter makes one, with room for most events.
func NewMetaWriter() *MetaWriter {
	w := &MetaWriter{Buf: make([]byte, 0, 1024)}
	w.add = func(k, v []byte) bool {
		w.pairs++
		w.Buf = binary.LittleEndian.AppendUint32(w.Buf, uint32(len(k)))
		w.Buf = binary.LittleEndian.AppendUint32(w.Buf, uint32(len(v)))
		w.Buf = append(append(w.Buf, k...), v...)
		return true
	}
	return w
}

var nowhere event.Source

// Write encodes ev into w.Buf.
func (w *MetaWriter) Write(ev *event.Event) {
	src := ev.Source
	if src == nil {
		src = &nowhere
	}
	var fixed [MetaFixed]byte
	le := binary.LittleEndian
	if !ev.Time.IsZero() {
		le.PutUint64(fixed[0:], uint64(ev.Time.UnixNano()))
	}
	le.PutUint64(fixed[8:], uint64(ev.Token.Offset))
	le.PutUint32(fixed[16:], uint32(ev.Token.Shard))
	le.PutUint32(fixed[20:], uint32(ev.Shards))
	le.PutUint32(fixed[24:], uint32(int32(ev.LogLevel)))
	for i, n := range [...]int{len(ev.Method), len(ev.Path), len(ev.URL), len(ev.ContentType), len(ev.ID),
		len(ev.Key), len(ev.Topic), len(src.Kind), len(src.Name), len(src.Class)} {
		le.PutUint32(fixed[48+4*i:], uint32(n))
	}
	w.Buf = append(w.Buf[:0], fixed[:]...)
	b := w.Buf
	b = append(append(append(b, ev.Method...), ev.Path...), ev.URL...)
	b = append(append(append(b, ev.ContentType...), ev.ID...), ev.Key...)
	b = append(append(b, ev.Topic...), src.Kind...)
	w.Buf = append(append(b, src.Name...), src.Class...)
	w.values(ev.Headers, 28)
	w.values(ev.Fields, 36)
	if ev.Brought != nil {
		start := len(w.Buf)
		w.Buf = ev.Brought.Append(w.Buf)
		le.PutUint32(w.Buf[44:], uint32(len(w.Buf)-start))
	}
}

// values appends v and notes its count and length at off.
func (w *MetaWriter) values(v event.Values, off int) {
	start := len(w.Buf)
	w.pairs = 0
	if v != nil {
		v.All()(w.add)
	}
	binary.LittleEndian.PutUint32(w.Buf[off:], w.pairs)
	binary.LittleEndian.PutUint32(w.Buf[off+4:], uint32(len(w.Buf)-start))
}

// Answer is the decoded metadata of a response.
type Answer struct {
	ContentType string
	Header      []event.Field
	Logs        []event.LogRecord
}

// Reader walks bytes that nobody changes any more; after a read past the end
// it stays bad and yields nothing.
type Reader struct {
	B   []byte
	Bad bool
}

// U32 reads four bytes.
func (r *Reader) U32() uint32 {
	if len(r.B) < 4 {
		r.Bad, r.B = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint32(r.B)
	r.B = r.B[4:]
	return v
}

// U64 reads eight bytes.
func (r *Reader) U64() uint64 {
	lo := r.U32()
	return uint64(r.U32())<<32 | uint64(lo)
}

// Bytes reads n bytes, where they lie.
func (r *Reader) Bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.B)) {
		r.Bad, r.B = true, nil
		return nil
	}
	v := r.B[:n]
	r.B = r.B[n:]
	return v
}

// DecodeAnswer reads a response's metadata: u32 length of the content type,
// u32 number of headers, u32 number of log records, the content type, the
// headers, the records. b must be a private copy.
func DecodeAnswer(b []byte, a *Answer) error {
	r := Reader{B: b}
	ctype, nheaders, nlogs := r.U32(), r.U32(), r.U32()
	a.ContentType = string(r.Bytes(ctype))
	for range nheaders {
		k, v := r.U32(), r.U32()
		key, value := r.Bytes(k), r.Bytes(v)
		if r.Bad {
			return ErrMalformed
		}
		a.Header = append(a.Header, event.Field{Key: string(key), Value: string(value)})
	}
	for range nlogs {
		rec := DecodeRecord(&r)
		if r.Bad {
			return ErrMalformed
		}
		a.Logs = append(a.Logs, rec)
	}
	if r.Bad || len(r.B) != 0 {
		return ErrMalformed
	}
	return nil
}

// DecodeRecord reads one log record: i64 nanoseconds, i32 level, u32 length of
// the message, u32 number of attributes, the message, the attributes.
func DecodeRecord(r *Reader) event.LogRecord {
	rec := event.LogRecord{Time: time.Unix(0, int64(r.U64())), Level: slog.Level(int32(r.U32()))}
	msg, n := r.U32(), r.U32()
	rec.Message = string(r.Bytes(msg))
	for range n {
		k, v := r.U32(), r.U32()
		key, value := r.Bytes(k), r.Bytes(v)
		if r.Bad {
			return rec
		}
		rec.With = append(rec.With, slog.String(string(key), string(value)))
	}
	return rec
}

// DecodeCall reads a call's metadata: u32 lengths of name, method, path and
// content type, u32 number of headers, u32 0, the four strings, the headers. b
// must be a private copy.
func DecodeCall(b []byte, c *runtime.Call) error {
	r := Reader{B: b}
	name, method, path, ctype, nheaders, rest := r.U32(), r.U32(), r.U32(), r.U32(), r.U32(), r.U32()
	c.Name, c.Method = string(r.Bytes(name)), string(r.Bytes(method))
	c.Path, c.ContentType = string(r.Bytes(path)), string(r.Bytes(ctype))
	for range nheaders {
		k, v := r.U32(), r.U32()
		key, value := r.Bytes(k), r.Bytes(v)
		if r.Bad {
			return ErrMalformed
		}
		c.Headers = append(c.Headers, event.Field{Key: string(key), Value: string(value)})
	}
	if r.Bad || len(r.B) != 0 || rest != 0 {
		return ErrMalformed
	}
	return nil
}

// EncodeAnswer writes the metadata of a call's answer, which is laid out like a
// response's.
func EncodeAnswer(a *event.Response) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(make([]byte, 0, 256), uint32(len(a.ContentType)))
	b = le.AppendUint32(b, uint32(len(a.Header)))
	b = append(le.AppendUint32(b, 0), a.ContentType...)
	for _, h := range a.Header {
		b = le.AppendUint32(b, uint32(len(h.Key)))
		b = le.AppendUint32(b, uint32(len(h.Value)))
		b = append(append(b, h.Key...), h.Value...)
	}
	return b
}
