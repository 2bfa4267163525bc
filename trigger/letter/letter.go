// Package letter is the envelope in which an event leaves a trigger for good: a
// dead letter, or the record of a success. It says where the event came from,
// what became of it and how often it was tried, and carries the event whole. It
// knows no destination and no source.
package letter

import (
	"time"
)

// Version is the number of the format that Encode writes.
const Version = 1

// Reasons why an event is a letter.
const (
	Attempts  = "attempts"  // all attempts failed
	Age       = "age"       // it became too old while it was tried
	Permanent = "permanent" // the function said that no attempt will succeed
	Success   = "success"   // the function ran: a letter for onSuccess
)

// Letter is an event and its history.
type Letter struct {
	Version  int       `json:"version"`
	ID       string    `json:"id"`     // of the letter: the same if it is sent again
	Reason   string    `json:"reason"` // see the constants
	Function string    `json:"function,omitempty"`
	FVersion string    `json:"functionVersion,omitempty"`
	Trigger  string    `json:"trigger"`
	Kind     string    `json:"kind"`            // of the trigger
	Class    string    `json:"class,omitempty"` // of the trigger
	Error    string    `json:"error,omitempty"`
	Attempts int       `json:"attempts"`
	First    time.Time `json:"first"` // when it failed for the first time, or was done
	Last     time.Time `json:"last"`  // when it failed last, or was done
	From     Place     `json:"from"`
	Event    Event     `json:"event"`
	Answer   *Answer   `json:"answer,omitempty"` // of a success
}

// Place is where the event lay in its source.
type Place struct {
	Topic  string `json:"topic,omitempty"`
	Shard  int32  `json:"shard"`
	Offset int64  `json:"offset"`
}

// Event is what is kept of the event.
type Event struct {
	ID          string    `json:"id"`
	Time        time.Time `json:"time"`
	Method      string    `json:"method,omitempty"`
	Path        string    `json:"path,omitempty"`
	URL         string    `json:"url,omitempty"` // path and query, if an event that was captured has more than its path
	ContentType string    `json:"contentType,omitempty"`
	Key         Bytes     `json:"key,omitzero"`
	Headers     []Header  `json:"headers,omitempty"`
	Fields      []Header  `json:"fields,omitempty"` // query arguments or record fields, of an event that was captured
	Body        Bytes     `json:"body,omitzero"`
}

// Header is one header; the value need not be text.
type Header struct {
	Key   string `json:"key"`
	Value Bytes  `json:"value,omitzero"`
}

// Answer is what the function answered.
type Answer struct {
	Status      int    `json:"status"`
	ContentType string `json:"contentType,omitempty"`
	Body        Bytes  `json:"body,omitzero"`
}

// Outcome is what became of an event that was run again.
type Outcome struct {
	Status int    `json:"status"`          // as an HTTP trigger would have answered
	Error  string `json:"error,omitempty"` // why it failed; "" if it did not
	// How long it took in milliseconds, and what the function answered: of events
	// that are replayed.
	Ms     float64 `json:"ms,omitempty"`
	Answer *Answer `json:"answer,omitempty"`
}
