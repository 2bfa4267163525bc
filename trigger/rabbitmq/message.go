package rabbitmq

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/queue"
)

// The names under which a message's properties are headers of the event.
const (
	propertyPrefix  = "amqp-"
	exchangeHeader  = propertyPrefix + "exchange"
	keyHeader       = propertyPrefix + "routing-key"
	replyHeader     = propertyPrefix + "reply-to"
	correlateHeader = propertyPrefix + "correlation-id"
	typeHeader      = propertyPrefix + "type"
	encodingHeader  = propertyPrefix + "content-encoding"
	appHeader       = propertyPrefix + "app-id"
	userHeader      = propertyPrefix + "user-id"
	priorityHeader  = propertyPrefix + "priority"
	expiresHeader   = propertyPrefix + "expiration"
	againHeader     = propertyPrefix + "redelivered"
)

const countHeader = "x-delivery-count" // of quorum queues

// deepest is how far tables in tables are followed.
const deepest = 8

// headers reads the headers of a Message where fill wrote them: at the front of
// its Buffer, which begins with their length, each as the length of its key,
// the key, the length of its value, the value.
type headers queue.Message

const sizeBytes = 4

func (h *headers) next(b []byte) (k, v, rest []byte) {
	k, b = cut(b)
	v, b = cut(b)
	return k, v, b
}

func cut(b []byte) (field, rest []byte) {
	n, k := binary.Uvarint(b)
	b = b[k:]
	return b[:n:n], b[n:]
}

func (h *headers) all() []byte {
	return h.Buffer[sizeBytes : sizeBytes+binary.LittleEndian.Uint32(h.Buffer)]
}

// Get implements [event.Values].
func (h *headers) Get(key string) []byte {
	for b := h.all(); len(b) > 0; {
		var k, v []byte
		if k, v, b = h.next(b); len(k) == len(key) && bytes.EqualFold(k, []byte(key)) {
			return v
		}
	}
	return nil
}

// All implements [event.Values].
func (h *headers) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for b := h.all(); len(b) > 0; {
			var k, v []byte
			if k, v, b = h.next(b); !yield(k, v) {
				return
			}
		}
	}
}

var _ event.Values = (*headers)(nil)

// fill makes a message of a delivery. The body is the delivery's own; all else
// is copied into the Buffer.
func (s *session) fill(m *queue.Message, d *amqp.Delivery) {
	m.Tag = d.DeliveryTag
	m.Delivered = count(d)
	w := &s.writer
	w.b, w.names, w.path = m.Buffer[:0], w.names[:0], w.path[:0]
	w.b = append(w.b, 0, 0, 0, 0)
	w.properties(d)
	w.table(d.Headers, 0)
	binary.LittleEndian.PutUint32(w.b, uint32(len(w.b)-sizeBytes))

	start := len(w.b)
	w.b = append(w.b, d.MessageId...)
	id := len(w.b)
	w.b = append(w.b, d.ContentType...)
	contentType := len(w.b)
	w.b = append(w.b, d.Type...)
	method := len(w.b)
	w.b = append(append(w.b, d.Exchange...), '/')
	key := len(w.b)
	w.b = append(w.b, d.RoutingKey...)
	m.Buffer = w.b

	ev := &m.Event
	ev.ID, ev.ContentType, ev.Method = part(w.b, start, id), part(w.b, id, contentType), part(w.b, contentType, method)
	ev.Path, ev.Key = part(w.b, method, len(w.b)), part(w.b, key, len(w.b))
	ev.Body, ev.Time, ev.Topic = d.Body, d.Timestamp, s.topic
	ev.Headers = (*headers)(m)
}

func part(b []byte, from, to int) []byte {
	if from == to {
		return nil
	}
	return b[from:to:to]
}

// count is how often a message was delivered before. Only quorum queues count;
// others say whether it was.
func count(d *amqp.Delivery) int {
	switch n := d.Headers[countHeader].(type) {
	case int64:
		return int(n)
	case int32:
		return int(n)
	}
	if d.Redelivered {
		return 1
	}
	return 0
}

// writer writes headers. A table in a table is flattened: the keys of its
// values begin with its own and a dot; for arrays, their numbers are the keys.
type writer struct {
	b     []byte
	names []string // the sorted keys of the tables on the way
	path  []byte
}

func (w *writer) header(key, value string) {
	if value != "" {
		w.b = append(binary.AppendUvarint(w.b, uint64(len(key))), key...)
		w.b = append(binary.AppendUvarint(w.b, uint64(len(value))), value...)
	}
}

func (w *writer) properties(d *amqp.Delivery) {
	w.header(exchangeHeader, d.Exchange)
	w.header(keyHeader, d.RoutingKey)
	w.header(replyHeader, d.ReplyTo)
	w.header(correlateHeader, d.CorrelationId)
	w.header(typeHeader, d.Type)
	w.header(encodingHeader, d.ContentEncoding)
	w.header(appHeader, d.AppId)
	w.header(userHeader, d.UserId)
	w.header(expiresHeader, d.Expiration)
	if d.Priority > 0 {
		w.leaf(priorityHeader, d.Priority)
	}
	if d.Redelivered {
		w.header(againHeader, "true")
	}
}

// table writes t in the order of its keys, behind the path.
func (w *writer) table(t amqp.Table, depth int) {
	from := len(w.names)
	for k := range t {
		w.names = append(w.names, k)
	}
	slices.Sort(w.names[from:])
	to, end := len(w.names), len(w.path)
	for i := from; i < to; i++ {
		w.path = append(w.path[:end], w.names[i]...)
		w.value(t[w.names[i]], depth)
	}
	w.names, w.path = w.names[:from], w.path[:end]
}

func (w *writer) value(v any, depth int) {
	end := len(w.path)
	switch v := v.(type) {
	case amqp.Table:
		if depth < deepest {
			w.path = append(w.path, '.')
			w.table(v, depth+1)
		}
	case []any:
		for i := 0; i < len(v) && depth < deepest; i++ {
			w.path = strconv.AppendInt(append(w.path[:end], '.'), int64(i), 10)
			w.value(v[i], depth+1)
		}
	default:
		w.b = append(binary.AppendUvarint(w.b, uint64(len(w.path))), w.path...)
		w.text(v)
	}
	w.path = w.path[:end]
}

func (w *writer) leaf(key string, v any) {
	w.b = append(binary.AppendUvarint(w.b, uint64(len(key))), key...)
	w.text(v)
}

// text writes the length and the text of a value; bytes stay as they are.
func (w *writer) text(v any) {
	var few [64]byte
	t := few[:0]
	switch v := v.(type) {
	case string:
		w.b = append(binary.AppendUvarint(w.b, uint64(len(v))), v...)
		return
	case []byte:
		w.b = append(binary.AppendUvarint(w.b, uint64(len(v))), v...)
		return
	case bool:
		t = strconv.AppendBool(t, v)
	case int8:
		t = strconv.AppendInt(t, int64(v), 10)
	case uint8:
		t = strconv.AppendUint(t, uint64(v), 10)
	case int16:
		t = strconv.AppendInt(t, int64(v), 10)
	case uint16:
		t = strconv.AppendUint(t, uint64(v), 10)
	case int32:
		t = strconv.AppendInt(t, int64(v), 10)
	case uint32:
		t = strconv.AppendUint(t, uint64(v), 10)
	case int64:
		t = strconv.AppendInt(t, v, 10)
	case float32:
		t = strconv.AppendFloat(t, float64(v), 'g', -1, 32)
	case float64:
		t = strconv.AppendFloat(t, v, 'g', -1, 64)
	case time.Time:
		t = v.UTC().AppendFormat(t, time.RFC3339Nano)
	case amqp.Decimal:
		t = decimal(t, v)
	}
	w.b = append(binary.AppendUvarint(w.b, uint64(len(t))), t...)
}

// decimal writes value / 10^scale.
func decimal(t []byte, d amqp.Decimal) []byte {
	t = strconv.AppendInt(t, int64(d.Value), 10)
	if d.Scale == 0 {
		return t
	}
	t = append(t, 'e', '-')
	return strconv.AppendUint(t, uint64(d.Scale), 10)
}
