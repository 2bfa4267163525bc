package nuclio

import (
	"fmt"
	"strings"

	"github.com/myelin-run/myelin/event"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/sdk/nuclio"
)

// platform is own's platform in Nuclio's words.
func platform(own *myelin.Context) *nuclio.Platform {
	return &nuclio.Platform{Call: func(function string, ev nuclio.Event) (nuclio.Response, error) {
		to, err := given(ev)
		if err != nil {
			return nuclio.Response{}, fmt.Errorf("call function %s: %w", function, err)
		}
		answer, err := own.Platform.CallFunction(own.Context, function, to)
		if err != nil {
			return nuclio.Response{}, err
		}
		r := nuclio.Response{StatusCode: answer.Status, ContentType: answer.ContentType, Body: answer.Body, Headers: map[string]interface{}{}}
		for _, h := range answer.Header {
			r.Headers[strings.ToLower(h.Key)] = h.Value
		}
		return r, nil
	}, Settle: func(o nuclio.QualifiedOffset, err error) error {
		at := myelin.Offset{Trigger: o.Trigger, Topic: o.Topic, Shard: int32(o.Partition), Offset: int64(o.Offset)}
		if err != nil {
			return own.Platform.Nack(own.Context, at, err)
		}
		return own.Platform.Ack(own.Context, at)
	}}
}

// given is the event that a function wants sent.
func given(ev nuclio.Event) (*event.Event, error) {
	if ev == nil {
		return &event.Event{}, nil
	}
	to := &event.Event{Method: []byte(ev.GetMethod()), Path: []byte(ev.GetPath()), ContentType: []byte(ev.GetContentType()), Body: ev.GetBody()}
	if url := ev.GetURL(); url != "" {
		to.URL = []byte(url)
	}
	var headers event.Pairs
	for k, v := range ev.GetHeaders() {
		switch v := v.(type) {
		case string:
			headers = append(headers, event.Pair{Key: k, Value: []byte(v)})
		case []byte:
			headers = append(headers, event.Pair{Key: k, Value: v})
		case int:
			headers = append(headers, event.Pair{Key: k, Value: fmt.Append(nil, v)})
		default:
			return nil, fmt.Errorf("header %q: a %T is neither a string nor an int", k, v)
		}
	}
	to.Headers = headers
	return to, nil
}
