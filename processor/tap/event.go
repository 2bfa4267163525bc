package tap

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

// Event is an event as it came to the function, and what became of it.
type Event struct {
	// Number of the event in its capture.
	Seq int64 `json:"seq"`
	// When it was handed to the function.
	At time.Time `json:"at"`
	// The version that ran it; without it, the working copy.
	FVersion string `json:"functionVersion,omitempty"`
	// The processor that ran it.
	Replica string `json:"replica,omitempty"`
	// Name of the trigger that brought it.
	Trigger string `json:"trigger"`
	// Kind of that trigger.
	Kind string `json:"kind"`
	// Class of that trigger.
	Class string `json:"class,omitempty"`
	// Where it lay in its source.
	From letter.Place `json:"from"`
	// How often it was run, with this time, as far as its trigger counts.
	Attempt int `json:"attempt"`
	// The event itself. What was taken out is *** there.
	Event letter.Event `json:"event"`
	// Bytes of its body, also of one that was cut.
	Size int64 `json:"size"`
	// Whether something of it was cut.
	Cut bool `json:"cut,omitempty"`
	// What was taken out, such as "header Authorization" and "field password".
	Redacted []string `json:"redacted,omitempty"`
	// What the function answered, as a status of HTTP.
	Status int `json:"status"`
	// Why it failed; without it, it did not.
	Error string `json:"error,omitempty"`
	// How long it took, waiting for a worker included, in milliseconds.
	Ms float64 `json:"ms"`
}

// Weight is about how much memory an event takes.
func (e *Event) Weight() int64 {
	n := int64(512 + len(e.Event.Body) + len(e.Event.Key) + len(e.Event.ID) + len(e.Event.Path) + len(e.Event.URL) + len(e.Event.ContentType) + len(e.Error))
	for _, hs := range [][]letter.Header{e.Event.Headers, e.Event.Fields} {
		for _, h := range hs {
			n += int64(64 + len(h.Key) + len(h.Value))
		}
	}
	return n
}

// Request says that a capture shall be under way in a processor, and what whoever
// asks has of it already. It is a state and not a change: it may be sent again.
type Request struct {
	ID   string `json:"id"`
	Spec Spec   `json:"spec"`
	// Left is how long it is still to last, in milliseconds.
	Left int64 `json:"left"`
	// Have is the number of the last event that is known of each processor.
	Have map[string]int64 `json:"have,omitempty"`
}

// Report is what a processor has captured since.
type Report struct {
	// Instance tells this capture in this processor from any other.
	Instance string `json:"instance"`
	// Seen are the events that were looked at; Dropped those that were wanted
	// and did not fit.
	Seen    int64   `json:"seen"`
	Dropped int64   `json:"dropped"`
	Events  []Event `json:"events"`
}

// The most that a report is believed to hold, besides what its request allows.
const (
	mostHeaders = 64 << 10 // bytes of headers, of fields, of an address
	mostText    = 1000     // characters of an error, and of an id
	reportSize  = 2 << 20  // bytes of events in one report, unless it is one event
)

// Read reads a report to a request, which another process wrote: what is not as
// it was asked for is an error.
func Read(text []byte, r Request) (out Report, err error) {
	if err := json.Unmarshal(text, &out); err != nil {
		return Report{}, fmt.Errorf("%w: %w", ErrUnlike, err)
	}
	bad := out.Instance == "" || len(out.Instance) > 64 || out.Seen < 0 || out.Dropped < 0 || len(out.Events) > r.Spec.Count
	last := r.Have[out.Instance]
	for i := range out.Events {
		e := &out.Events[i]
		bad = bad || e.Seq <= last || !e.like(r.Spec)
		last = e.Seq
	}
	if bad {
		return Report{}, ErrUnlike
	}
	return out, nil
}

// like reports whether an event may be one of a capture.
func (e *Event) like(s Spec) bool {
	body := int64(len(e.Event.Body))
	e.Event.Body = shorter(e.Event.Body) // a slice that hides more than it shows is kept with all of it
	return body <= s.EventSize.Bytes() && e.Weight()-body <= 4*mostHeaders && len(e.Trigger)+len(e.Kind)+len(e.Class)+len(e.From.Topic) <= 4*mostText &&
		e.Size >= 0 && e.Attempt >= 0 && e.Ms >= 0 && len(e.Redacted) <= 2*mostRedacted && (s.Trigger == "" || e.Trigger == s.Trigger) && (!s.Failed || e.Error != "")
}

func shorter(b letter.Bytes) letter.Bytes {
	if cap(b) > 2*len(b)+1024 {
		return append(letter.Bytes{}, b...)
	}
	return b
}

// Letter is the event as what is run again.
func (e *Event) Letter() *letter.Letter {
	return &letter.Letter{Version: letter.Version, Trigger: e.Trigger, Kind: e.Kind, Class: e.Class, From: e.From, Attempts: max(e.Attempt-1, 0), First: e.At, Last: e.At, Event: e.Event}
}

// Outcome says what became of an event as an HTTP trigger would answer it; ran is
// false if the event was not run. resp is not looked at if err is an abandoned one.
func Outcome(resp *event.Response, err error) (o letter.Outcome, ran bool) {
	var failed *event.Error
	switch {
	case err == nil && resp.Status < http.StatusBadRequest:
		return letter.Outcome{Status: max(resp.Status, http.StatusOK)}, true
	case err == nil:
		return letter.Outcome{Status: resp.Status, Error: fmt.Sprintf("answered with status %d: %.200s", resp.Status, resp.Body)}, true
	case event.Abandoned(err), errors.Is(err, event.ErrTimeout):
		return letter.Outcome{Status: http.StatusRequestTimeout, Error: err.Error()}, true
	case errors.As(err, &failed):
		return letter.Outcome{Status: failed.Status, Error: failed.Message}, true
	case errors.Is(err, event.ErrBusy), errors.Is(err, event.ErrStopping), errors.Is(err, event.ErrNotRun):
		return letter.Outcome{Status: http.StatusServiceUnavailable, Error: err.Error()}, false
	case errors.Is(err, event.ErrLater):
		return letter.Outcome{Status: http.StatusAccepted}, true
	case errors.Is(err, event.ErrCrashed):
		return letter.Outcome{Status: http.StatusBadGateway, Error: err.Error()}, true
	}
	return letter.Outcome{Status: http.StatusInternalServerError, Error: err.Error()}, true
}
