package native

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/myelin-run/myelin/event"
)

// Answer fills resp with what a function returned: nothing for nil, text for a
// string, bytes as they are, a Response as it is, else JSON.
func Answer(resp *event.Response, v any) error {
	switch v := v.(type) {
	case nil:
	case string:
		resp.Body = append(resp.Body, v...)
	case []byte:
		resp.Body = append(resp.Body, v...)
	case *event.Response:
		if v != nil {
			take(resp, v)
		}
	case event.Response:
		take(resp, &v)
	case int:
		resp.Body = strconv.AppendInt(resp.Body, int64(v), 10)
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return event.Permanent(fmt.Errorf("answer with %T: %w", v, err))
		}
		resp.ContentType = "application/json"
		resp.Body = append(resp.Body, b...)
	}
	return nil
}

// take copies what is the function's into what is the caller's.
func take(resp, from *event.Response) {
	resp.Status, resp.ContentType, resp.Stream = from.Status, from.ContentType, from.Stream
	resp.Header = append(resp.Header, from.Header...)
	resp.Body = append(resp.Body, from.Body...)
}
