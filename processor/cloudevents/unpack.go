package cloudevents

import (
	"slices"
	"strings"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/event/cloudevent"
)

// unpack returns ev with the CloudEvent that it carries in binary form. It may
// share memory with ev, which is not changed: whoever retries it hands it in
// again.
func unpack(ev *event.Event, form cloudevent.Form) (*event.Event, error) {
	if form == cloudevent.Structured {
		ce, err := cloudevent.Parse(ev.ContentType, ev.Body)
		if err != nil {
			return nil, err
		}
		return with(ev, ce, others(ev)), nil
	}
	ce, rest, err := cloudevent.FromHeaders(ev)
	if err != nil {
		return nil, err
	}
	one := with(ev, ce, rest)
	one.Loan = ev.Loan // the body is where it was
	return one, nil
}

// with returns a copy of ev that is ce.
func with(ev *event.Event, ce *cloudevent.Event, rest event.Pairs) *event.Event {
	one := *ev
	one.Headers = slices.Concat(ce.Attributes, traced(ce, rest))
	one.Body, one.ContentType, one.Loan = ce.Data, []byte(ce.ContentType), nil
	if id := ce.ID(); len(id) > 0 {
		one.ID = id
	}
	if !ce.Time.IsZero() {
		one.Time = ce.Time
	}
	return &one
}

// others are the headers of an event whose body says all of the CloudEvent: no
// attribute may come from there, and what they say of the body is true no more.
func others(ev *event.Event) (rest event.Pairs) {
	if ev.Headers == nil {
		return nil
	}
	for k, v := range ev.Headers.All() {
		key := string(k)
		if lower := strings.ToLower(key); !strings.HasPrefix(lower, "ce-") && lower != "content-type" && lower != "content-length" {
			rest = append(rest, event.Pair{Key: key, Value: v})
		}
	}
	return rest
}

// traced adds the headers of a trace that the event itself brings (CloudEvents'
// extension for distributed tracing), unless its protocol has told of one.
func traced(ce *cloudevent.Event, rest event.Pairs) event.Pairs {
	if rest.Get("traceparent") != nil {
		return rest
	}
	for _, name := range []string{"traceparent", "tracestate"} {
		if v := ce.Attributes.Get("ce-" + name); v != nil {
			rest = append(rest, event.Pair{Key: name, Value: v})
		}
	}
	return rest
}
