package cloudevent

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/myelin-run/myelin/event"
)

// prefix is how a protocol marks attributes among its headers.
type prefix struct {
	text    string
	percent bool // values are percent-encoded
	bare    bool // of one kind of source, which marks them not at all
}

// prefixes are those of HTTP and NATS, Kafka, and AMQP, which has two.
var prefixes = []prefix{{text: "ce-", percent: true}, {text: "ce_"}, {text: "cloudEvents:"}, {text: "cloudEvents_"}}

// isBinary finds how ev marks the attributes of a CloudEvent in binary form.
func isBinary(ev *event.Event) (prefix, bool) {
	if ev.Headers == nil {
		return prefix{}, false
	}
	for _, p := range prefixes {
		if ev.Headers.Get(p.text+"specversion") != nil {
			return p, true
		}
	}
	mqtt := prefix{bare: true}
	return mqtt, ev.Source != nil && ev.Source.Kind == "mqtt" && ev.Headers.Get("specversion") != nil
}

// IsBinary reports whether ev is a CloudEvent in binary form: it says which
// version of the specification it follows.
func IsBinary(ev *event.Event) bool {
	_, ok := isBinary(ev)
	return ok
}

// FromHeaders reads a CloudEvent in binary form. rest are the headers that are
// none of its attributes. Its data and content type are those of ev.
func FromHeaders(ev *event.Event) (e *Event, rest event.Pairs, err error) {
	p, ok := isBinary(ev)
	if !ok {
		return nil, nil, problem("specversion", "is required")
	}
	e = &Event{Data: ev.Body, ContentType: string(ev.ContentType)}
	for k, v := range ev.Headers.All() {
		name, is := p.attribute(k)
		if !is {
			rest = append(rest, event.Pair{Key: string(k), Value: v})
			continue
		}
		if v, err = p.value(name, v); err != nil {
			return nil, nil, err
		}
		if name == "datacontenttype" { // of the protocol's own, where it has no header for it
			e.ContentType = string(v)
			continue
		}
		if e.Attributes.Get("ce-"+name) != nil {
			return nil, nil, problem(name, "comes twice")
		}
		e.Attributes = append(e.Attributes, event.Pair{Key: "ce-" + name, Value: v})
	}
	return e, rest, e.check()
}

// attribute returns the attribute's name if the header is one.
func (p prefix) attribute(header []byte) (string, bool) {
	if p.bare {
		name := string(header)
		return name, validName(name)
	}
	if len(header) <= len(p.text) || !bytes.EqualFold(header[:len(p.text)], []byte(p.text)) {
		return "", false
	}
	return strings.ToLower(string(header[len(p.text):])), true
}

func (p prefix) value(name string, v []byte) ([]byte, error) {
	if !p.percent || bytes.IndexByte(v, '%') < 0 {
		return v, nil
	}
	s, err := url.PathUnescape(string(v))
	if err != nil {
		return nil, problem(name, "%w", err)
	}
	return []byte(s), nil
}
