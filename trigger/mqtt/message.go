package mqtt

import (
	"bytes"
	"encoding/binary"
	"iter"
	"strconv"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

// The names under which what MQTT says of a message is headers of the event.
const (
	prefix          = "mqtt-"
	qosHeader       = prefix + "qos"
	retainHeader    = prefix + "retain"
	againHeader     = prefix + "duplicate"
	replyHeader     = prefix + "response-topic"
	correlateHeader = prefix + "correlation-data"
	expiryHeader    = prefix + "message-expiry"
	formatHeader    = prefix + "payload-format"
)

// headers reads the headers of a Message where fill wrote them: at the front of
// its Buffer, which begins with their length, each as the length of its key,
// the key, the length of its value, the value.
type headers queue.Message

const sizeBytes = 4

func cut(b []byte) (field, rest []byte) {
	n, k := binary.Uvarint(b)
	b = b[k:]
	return b[:n:n], b[n:]
}

// Get implements [event.Values].
func (h *headers) Get(key string) []byte {
	for k, v := range h.All() {
		if len(k) == len(key) && bytes.EqualFold(k, []byte(key)) {
			return v
		}
	}
	return nil
}

// All implements [event.Values].
func (h *headers) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for b := h.Buffer[sizeBytes : sizeBytes+binary.LittleEndian.Uint32(h.Buffer)]; len(b) > 0; {
			var k, v []byte
			k, b = cut(b)
			if v, b = cut(b); !yield(k, v) {
				return
			}
		}
	}
}

var _ event.Values = (*headers)(nil)

func header(b []byte, key, value string) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}

func number(b []byte, key string, n uint64) []byte {
	var few [20]byte
	t := strconv.AppendUint(few[:0], n, 10)
	b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	return append(binary.AppendUvarint(b, uint64(len(t))), t...)
}

// fill makes a message for the engine of one that came. The body is the
// packet's own; all else is copied into the Buffer.
func fill(m *queue.Message, in *link.Message) {
	b := number(append(m.Buffer[:0], 0, 0, 0, 0), qosHeader, uint64(in.QoS))
	if in.Retain {
		b = header(b, retainHeader, "true")
	}
	if in.Again {
		b = header(b, againHeader, "true")
	}
	contentType := ""
	if p := in.Props; p != nil {
		contentType = p.ContentType
		if p.ResponseTopic != "" {
			b = header(b, replyHeader, p.ResponseTopic)
		}
		if p.CorrelationData != nil {
			b = append(binary.AppendUvarint(b, uint64(len(correlateHeader))), correlateHeader...)
			b = append(binary.AppendUvarint(b, uint64(len(p.CorrelationData))), p.CorrelationData...)
		}
		if p.MessageExpiry != nil {
			b = number(b, expiryHeader, uint64(*p.MessageExpiry))
		}
		if p.PayloadFormat != nil {
			b = number(b, formatHeader, uint64(*p.PayloadFormat))
		}
		for i := range p.User {
			b = header(b, p.User[i].Key, p.User[i].Value)
		}
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-sizeBytes))
	path := len(b)
	b = append(b, in.Topic...)
	typ := len(b)
	b = append(b, contentType...)
	m.Buffer = b

	ev := &m.Event
	ev.Topic, ev.Body, ev.Path = in.Topic, in.Body, b[path:typ:typ]
	if contentType != "" {
		ev.ContentType = b[typ:len(b):len(b)]
	}
	ev.Headers = (*headers)(m)
	if in.Again {
		m.Delivered = 1
	}
}
