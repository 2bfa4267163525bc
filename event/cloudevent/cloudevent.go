// Package cloudevent reads events that follow CloudEvents 1.0 of the Cloud
// Native Computing Foundation, alone or in batches, and those of its version 0.1
// as Nuclio took them. Whatever form an event comes in (binary, structured), what
// it becomes is the binary one: its attributes are headers that begin with
// "ce-", and its data is the body. It knows no source and no function.
package cloudevent

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/myelin-run/myelin/event"
)

// Form is how an event carries its CloudEvent.
type Form int

// The forms. Binary ones are told by their headers, see [Attributes].
const (
	None       Form = iota // it carries none, or a binary one
	Structured             // one in the body
	Batched                // any number of them in the body
)

var (
	single = []byte("application/cloudevents")
	batch  = []byte("application/cloudevents-batch")
)

// FormOf reads the form off a content type.
func FormOf(contentType []byte) Form {
	switch {
	case len(contentType) < len(single) || !bytes.EqualFold(contentType[:len(single)], single):
		return None
	case len(contentType) >= len(batch) && bytes.EqualFold(contentType[:len(batch)], batch):
		return Batched
	}
	return Structured
}

// Event is a CloudEvent in its binary form. It shares memory with what it was
// read from.
type Event struct {
	Attributes  event.Pairs // "ce-id", "ce-source", ...: all but datacontenttype
	ContentType string      // of Data: datacontenttype; "" if it does not say
	Data        []byte
	Time        time.Time // zero if it does not say
}

// ID is what the event is called; with its source it is unique.
func (e *Event) ID() []byte {
	if id := e.Attributes.Get("ce-id"); id != nil {
		return id
	}
	return e.Attributes.Get("ce-eventid")
}

// ErrVersion says that an event follows a version that is not known.
var ErrVersion = errors.New("its specversion is not known")

// problem says what is wrong with an attribute.
func problem(attribute, format string, args ...any) error {
	return fmt.Errorf("CloudEvent: %s: %w", attribute, fmt.Errorf(format, args...))
}
