package redis

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/queue"
)

// fields reads the fields of a Message where fill wrote them: at the front of
// its Buffer, behind their length and the place of the body, each as the length
// of its name, the name, the length of its value, the value. headers is the
// same without the body.
type (
	fields  queue.Message
	headers queue.Message
)

const (
	sizeBytes  = 4
	frontBytes = 2 * sizeBytes
)

func cut(b []byte) (field, rest []byte) {
	n, k := binary.Uvarint(b)
	b = b[k:]
	return b[:n:n], b[n:]
}

// each yields fields but for the one at skip.
func each(buffer []byte, skip int) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		end := frontBytes + int(binary.LittleEndian.Uint32(buffer))
		for b := buffer[frontBytes:end]; len(b) > 0; {
			at := end - len(b)
			var k, v []byte
			k, b = cut(b)
			v, b = cut(b)
			if at != skip && !yield(k, v) {
				return
			}
		}
	}
}

func get(buffer []byte, skip int, key string) []byte {
	for k, v := range each(buffer, skip) {
		if len(k) == len(key) && bytes.EqualFold(k, []byte(key)) {
			return v
		}
	}
	return nil
}

func (h *headers) body() int { return int(binary.LittleEndian.Uint32(h.Buffer[sizeBytes:])) }

// All implements [event.Values].
func (h *headers) All() iter.Seq2[[]byte, []byte] { return each(h.Buffer, h.body()) }

// Get implements [event.Values].
func (h *headers) Get(key string) []byte { return get(h.Buffer, h.body(), key) }

// All implements [event.Values].
func (f *fields) All() iter.Seq2[[]byte, []byte] { return each(f.Buffer, 0) }

// Get implements [event.Values].
func (f *fields) Get(key string) []byte { return get(f.Buffer, 0, key) }

// contentType is the field that says what the body field has.
const contentType = "content-type"

// fill makes a message of an entry, all of it in the Buffer.
func (s *session) fill(m *queue.Message, e *entry) {
	cfg := &s.src.cfg
	b := m.Buffer[:0]
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	var body, key, typ [2]int
	for i := 0; i+1 < len(e.fields); i += 2 {
		name, _ := e.fields[i].(string)
		value, _ := e.fields[i+1].(string)
		at := len(b)
		b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
		b = binary.AppendUvarint(b, uint64(len(value)))
		from := len(b)
		b = append(b, value...)
		switch place := [2]int{from, len(b)}; {
		case cfg.BodyField != "" && name == cfg.BodyField && body == [2]int{}:
			body = place
			binary.LittleEndian.PutUint32(b[sizeBytes:], uint32(at))
		case strings.EqualFold(name, contentType):
			typ = place
		}
		if name == cfg.KeyField && cfg.KeyField != "" {
			key = [2]int{from, len(b)}
		}
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-frontBytes))
	if cfg.BodyField == "" {
		body[0] = len(b)
		b = appendObject(b, e.fields)
		body[1] = len(b)
		typ[0] = len(b)
		b = append(b, "application/json"...)
		typ[1] = len(b)
	}
	stream, text := cfg.Streams[e.stream], e.id.(string)
	id := len(b)
	b = append(append(append(b, stream...), '/'), text...)

	m.Buffer, m.Delivered = b, e.before
	ev := &m.Event
	ev.ID, ev.Topic, ev.Time = b[id:], stream, stamp(text)
	ev.Body, ev.Key, ev.ContentType = part(b, body), part(b, key), part(b, typ)
	ev.Headers, ev.Fields = (*headers)(m), (*fields)(m)
}

var _, _ event.Values = (*headers)(nil), (*fields)(nil)

func part(b []byte, at [2]int) []byte {
	if at[1] == 0 {
		return nil
	}
	return b[at[0]:at[1]:at[1]]
}

// stamp is the time in an id.
func stamp(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{} // an id that its producer chose: the engine knows when it came
	}
	return time.UnixMilli(n)
}

// appendObject writes fields as a JSON object, in their order. A value that is
// no text is written as {"base64": "..."}.
func appendObject(b []byte, fields []any) []byte {
	b = append(b, '{')
	for i := 0; i+1 < len(fields); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := fields[i].(string)
		value, _ := fields[i+1].(string)
		b = append(appendString(b, name), ':')
		if utf8.ValidString(value) {
			b = appendString(b, value)
			continue
		}
		b = append(b, `{"base64":"`...)
		at := len(b)
		n := base64.StdEncoding.EncodedLen(len(value))
		b = append(b, make([]byte, n)...)
		base64.StdEncoding.Encode(b[at:], []byte(value))
		b = append(b, `"}`...)
	}
	return append(b, '}')
}

// appendString writes JSON text; what is no UTF-8 is replaced.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
