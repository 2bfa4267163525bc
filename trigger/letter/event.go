package letter

import (
	"bytes"

	"github.com/myelin-run/myelin/event"
)

// Of copies what is kept of ev.
func Of(ev *event.Event) Event {
	e := Event{ID: string(ev.ID), Time: ev.Time, Method: string(ev.Method), Path: string(ev.Path),
		ContentType: string(ev.ContentType), Key: bytes.Clone(ev.Key), Body: bytes.Clone(ev.Body)}
	if ev.Headers != nil {
		for k, v := range ev.Headers.All() {
			e.Headers = append(e.Headers, Header{string(k), append(Bytes{}, v...)})
		}
	}
	return e
}

// To fills ev from e, for an event that is run again. ev aliases e.
func (e *Event) To(ev *event.Event) {
	ev.ID, ev.Time = []byte(e.ID), e.Time
	ev.Method, ev.Path, ev.ContentType = []byte(e.Method), []byte(e.Path), []byte(e.ContentType)
	ev.Key, ev.Body = e.Key, e.Body
	if e.URL != "" {
		ev.URL = []byte(e.URL)
	}
	ev.Headers, ev.Fields = values(e.Headers), values(e.Fields)
}

func values(from []Header) event.Values {
	if len(from) == 0 {
		return nil
	}
	out := make(event.Pairs, len(from))
	for i, p := range from {
		out[i] = event.Pair{Key: p.Key, Value: p.Value}
	}
	return out
}
