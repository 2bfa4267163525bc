package event

import (
	"io"
	"log/slog"
	"time"
)

// Response is what a function answers. The caller of Handle owns it and may
// use it again after Reset; the function fills it. Body is appended to, so
// that a Response used again costs nothing.
type Response struct {
	Status      int    // 0 means 200
	ContentType string // "" means text/plain; charset=utf-8
	Header      []Field
	Body        []byte
	Stream      io.ReadCloser // set instead of Body when the function streams
	Logs        []LogRecord   // what the function logged, if Event.LogAsked

	// Takes says which forms of an answer besides Body the caller can do
	// with. The caller sets it once: Reset keeps it. Without TakesStreams a
	// worker's stream is gathered into Body.
	Takes Takes
	// View stands instead of Body if Owner is set, which it only is if Takes
	// has TakesViews: the body, in memory that Owner lends until Release.
	View []byte
	// Owner is whose memory View is. Whoever has used View calls Release
	// exactly once, from any goroutine, and clears Owner; Reset does both.
	Owner Owner

	// Worker is closed when the worker that gave the answer has gone: what it
	// meant to do later will not be done. It is nil if the worker cannot go.
	Worker <-chan struct{}
}

// Canceller is implemented by a Response.Stream that can be told, from any
// goroutine and without a wait, that nobody wants its rest. It is still read
// to its end, or closed, as ever.
type Canceller interface{ Cancel() }

// Owner lends memory; after Release it is used for something else.
type Owner interface{ Release() }

// Takes is a set of forms of an answer.
type Takes uint8

// The forms of an answer that a caller may take.
const (
	TakesViews   Takes = 1 << iota // a body in the worker's memory
	TakesStreams                   // a body that is still being made
)

// Field is one header of a response.
type Field struct{ Key, Value string }

// LogRecord is one line of a function's log.
type LogRecord struct {
	Time    time.Time
	Level   slog.Level
	Message string
	With    []slog.Attr
}

// Reset empties r, keeps its memory and Takes, and gives View back.
func (r *Response) Reset() {
	if r.Owner != nil {
		r.Owner.Release()
	}
	*r = Response{Header: r.Header[:0], Body: r.Body[:0], Logs: r.Logs[:0], Takes: r.Takes}
}

// SetHeader replaces the first header of that key, or adds one.
func (r *Response) SetHeader(key, value string) {
	for i := range r.Header {
		if r.Header[i].Key == key {
			r.Header[i].Value = value
			return
		}
	}
	r.Header = append(r.Header, Field{key, value})
}
