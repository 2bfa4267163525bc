// Package event holds the words every floor of the house shares: an event, a
// response to it, and the outcome of running a function on it. It imports
// nothing but the standard library, starts nothing and knows no source, no
// runtime and no platform.
package event

import (
	"bytes"
	"iter"
	"log/slog"
	"time"
)

// Event is one message on its way to a function.
//
// An event is lent, not given: every slice in it, and what Headers and Fields
// read, aliases the buffer of the trigger that made it and is valid until
// Handle returns. Clone makes a copy that may be kept. The one exception is an
// outcome for which [Abandoned] is true: the function still runs, so the
// trigger leaves the buffer to it and takes a new one.
type Event struct {
	Source      *Source   // the trigger; shared by all of its events, never changed
	Token       Token     // place in the source; the zero Token if it has none
	ID          []byte    // unique per event; a request id the caller chose is kept
	Time        time.Time // when the source says it happened, else when it was taken
	Method      []byte    // empty unless the source is a request
	Path        []byte    // without the query; "/" at least if the source is a request
	URL         []byte    // path and query as the caller wrote them
	ContentType []byte
	Body        []byte
	Key         []byte // of the record, if its source has keys
	Topic       string // topic, queue or subject; shared, never changed
	Shards      int32  // number of shards of the source, 0 if it has none
	Tries       int32  // how often it was run before and failed, as far as its trigger counts
	Headers     Values // read in place; nil if there are none
	Fields      Values // query arguments or record fields; nil if there are none

	// LogLevel, if LogAsked, is the lowest level of the function's log records
	// that the caller wants back in Response.Logs.
	LogLevel slog.Level
	LogAsked bool

	// Brought, if set, is what the processor fetched for the event. It is not
	// lent: it may be used as long as the function runs.
	Brought Brought

	// Loan, if set, is the memory that Body lies in: see [Lender]. It stays the
	// trigger's, which releases it once it is done with the event.
	Loan Loan
}

// Brought is what was fetched for an event before the function gets it. Append
// writes it for functions in other processes.
type Brought interface{ Append(b []byte) []byte }

// Lender lends memory that the body of an event can be read into, so that it
// need not be copied on its way to a function. Handlers, pools and runtime
// instances may be lenders. Lend returns nil if n bytes cannot be lent now; it
// does not wait, and reserves no worker: the event may still be run elsewhere.
type Lender interface{ Lend(n int) Loan }

// Loan is memory lent for the body of one event.
type Loan interface {
	Owner
	// Bytes returns the memory: as many bytes as were asked for, with
	// anything in them.
	Bytes() []byte
	// From returns the runtime instance that reads the memory in place.
	From() any
}

// Source names the trigger an event came from.
type Source struct {
	Kind  string // "http", "cron", "kafka", ...
	Class string // "sync", "queue", "stream", "poll"
	Name  string // the key of the trigger in the function's spec
}

// Values reads the headers or fields of an event where they lie.
type Values interface {
	// Get returns the first value of key, nil if there is none. Header keys
	// compare without regard to case.
	Get(key string) []byte
	// All yields keys and values in the source's order. Both are lent.
	All() iter.Seq2[[]byte, []byte]
}

// Token is the place of an event in its source. Unlike the event it may be
// kept, and is what an explicit acknowledgement names.
type Token struct {
	Shard  int32
	Epoch  uint32 // of the lease under which the shard was read
	Offset int64
}

// Header returns the first value of a header, nil if there is none.
func (e *Event) Header(key string) []byte {
	if e.Headers == nil {
		return nil
	}
	return e.Headers.Get(key)
}

// Field returns the first value of a field, nil if there is none.
func (e *Event) Field(key string) []byte {
	if e.Fields == nil {
		return nil
	}
	return e.Fields.Get(key)
}

// Clone returns a copy of e that shares no memory with its trigger.
func (e *Event) Clone() *Event {
	c := *e
	c.ID, c.Key = bytes.Clone(e.ID), bytes.Clone(e.Key)
	c.Method, c.Path, c.URL = bytes.Clone(e.Method), bytes.Clone(e.Path), bytes.Clone(e.URL)
	c.ContentType, c.Body = bytes.Clone(e.ContentType), bytes.Clone(e.Body)
	c.Loan = nil
	c.Headers, c.Fields = CloneValues(e.Headers), CloneValues(e.Fields)
	return &c
}
