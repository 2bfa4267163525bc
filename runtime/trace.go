package runtime

import (
	"strings"

	"github.com/myelin-run/myelin/event"
)

// Trace is what a call takes over from the event on whose behalf it is made. It is
// a copy, and so may be used when the event is gone.
type Trace struct{ parent, state, id string }

// TraceOf is the trace of ev, nil if there is no event.
func TraceOf(ev *event.Event) (t Trace) {
	if ev != nil {
		t = Trace{string(ev.Header("traceparent")), string(ev.Header("tracestate")), string(ev.ID)}
	}
	return t
}

// AddTo adds to c those headers of t that the function did not give itself.
func (t Trace) AddTo(c *Call) {
	given := map[string]bool{}
	for _, h := range c.Headers {
		given[strings.ToLower(h.Key)] = true
	}
	for _, h := range []event.Field{{Key: "traceparent", Value: t.parent}, {Key: "tracestate", Value: t.state}, {Key: "X-Request-Id", Value: t.id}} {
		if h.Value != "" && !given[strings.ToLower(h.Key)] {
			c.Headers = append(c.Headers, h)
		}
	}
}
