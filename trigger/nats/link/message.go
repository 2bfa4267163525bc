package link

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

// The headers that have a meaning here.
const (
	ID          = nats.MsgIdHdr
	ContentType = "Content-Type"
	Status      = "status"
	// The two by which services of NATS tell that they failed.
	ServiceError = "Nats-Service-Error"
	ServiceCode  = "Nats-Service-Error-Code"
)

// Values reads the headers of a message.
type Values nats.Header

var _ event.Values = Values{}

// Get implements [event.Values].
func (v Values) Get(key string) []byte {
	if s, ok := v.text(key); ok {
		return []byte(s)
	}
	return nil
}

// text returns the first value of key, whatever its case.
func (v Values) text(key string) (string, bool) {
	if vs := v[key]; len(vs) > 0 {
		return vs[0], true
	}
	for k, vs := range v {
		if len(vs) > 0 && strings.EqualFold(k, key) {
			return vs[0], true
		}
	}
	return "", false
}

// All implements [event.Values]. The client does not keep the order of the
// message: keys come sorted.
func (v Values) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, val []byte) bool) {
		for _, k := range slices.Sorted(maps.Keys(v)) {
			for _, val := range v[k] {
				if !yield([]byte(k), []byte(val)) {
					return
				}
			}
		}
	}
}

// Fill fills what an event has of any message, with slices of b where the
// message has texts, and returns b, longer.
func Fill(ev *event.Event, m *nats.Msg, b []byte) []byte {
	ev.Body, ev.Topic = m.Data, m.Subject
	if len(m.Header) == 0 {
		return b
	}
	v := Values(m.Header)
	ev.Headers = v
	id, _ := v.text(ID)
	kind, _ := v.text(ContentType)
	n := len(b)
	b = append(append(b, id...), kind...)
	if id != "" {
		ev.ID = b[n : n+len(id) : n+len(id)]
	}
	if kind != "" {
		ev.ContentType = b[n+len(id) : len(b) : len(b)]
	}
	return b
}

// Letter makes a letter a message. Its id is the same whenever an event is
// delivered again, so that a stream leaves out what it has already.
func Letter(subject string, l *letter.Letter) *nats.Msg {
	r := l.Record()
	m := &nats.Msg{Subject: subject, Data: r.Body, Header: nats.Header{}}
	for _, h := range r.Headers {
		if sendable(h.Key) && !strings.HasPrefix(h.Key, "Nats-") && !strings.EqualFold(h.Key, ContentType) {
			m.Header.Add(h.Key, string(h.Value))
		}
	}
	m.Header.Set(ID, r.ID)
	if r.ContentType != "" {
		m.Header.Set(ContentType, r.ContentType)
	}
	return m
}

// sendable says whether NATS can carry a header of that name.
func sendable(key string) bool {
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c == ':' || c >= 0x7f {
			return false
		}
	}
	return key != ""
}

// Plain says whether an answer has nothing but a body.
func Plain(resp *event.Response) bool {
	return len(resp.Header) == 0 && resp.ContentType == "" && (resp.Status == 0 || resp.Status == 200)
}

// Answer makes what a function answered a message.
func Answer(to string, resp *event.Response) *nats.Msg {
	m := &nats.Msg{Subject: to, Data: resp.Body}
	set := func(key, value string) {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header.Add(key, value)
	}
	for _, f := range resp.Header {
		if sendable(f.Key) {
			set(f.Key, f.Value)
		}
	}
	if resp.ContentType != "" {
		set(ContentType, resp.ContentType)
	}
	if resp.Status != 0 && resp.Status != 200 {
		set(Status, strconv.Itoa(resp.Status))
	}
	return m
}

// Failure is the answer to a message that failed.
func Failure(to string, err error) *nats.Msg {
	status := 500
	var e *event.Error
	switch {
	case errors.As(err, &e):
		if e.Status >= 400 && e.Status <= 599 {
			status = e.Status
		}
	case errors.Is(err, event.ErrTimeout):
		status = 408
	case errors.Is(err, event.ErrCrashed):
		status = 502
	}
	const most = 4 << 10 // of the error's text: headers have a limit of their own
	text := err.Error()
	text = text[:min(len(text), most)]
	code := strconv.Itoa(status)
	return &nats.Msg{Subject: to, Data: []byte(text), Header: nats.Header{
		ServiceError: {text}, ServiceCode: {code}, Status: {code}, ContentType: {"text/plain; charset=utf-8"},
	}}
}
