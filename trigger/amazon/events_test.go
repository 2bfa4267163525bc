package amazon

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

func written(t testing.TB, text string, headers ...string) []byte {
	t.Helper()
	m := eventstream.Message{Payload: []byte(text)}
	for i := 0; i < len(headers); i += 2 {
		m.Headers.Set(headers[i], eventstream.StringValue(headers[i+1]))
	}
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func eventsOf(b []byte) *Events {
	e := &Events{action: "Do", body: io.NopCloser(bytes.NewReader(b)), cancel: func() {}, silence: time.Minute, decoder: eventstream.NewDecoder()}
	e.read = bufio.NewReader((*noting)(e))
	return e
}

// FuzzEvents: whatever a service sends, it is read to its end or refused.
func FuzzEvents(f *testing.F) {
	whole := written(f, `{"a": 1}`, ":message-type", "event", ":event-type", "x")
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(written(f, "{}", ":message-type", "event", ":event-type", "initial-response"), whole...))
	f.Add(written(f, `{"message": "no"}`, ":message-type", "exception", ":exception-type", "Bad"))
	f.Add(written(f, "", ":message-type", "error", ":error-code", "Bad"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e := eventsOf(b)
		for n := 0; ; n++ {
			var out any
			if err := e.Next(&out); err != nil {
				return
			}
			if n > len(b) {
				t.Fatal("more events than bytes")
			}
		}
	})
}

// TestEvents: an event, what went wrong, and an end within one.
func TestEvents(t *testing.T) {
	whole := written(t, `{"A": 1}`, ":message-type", "event", ":event-type", "x")
	e := eventsOf(append(bytes.Clone(whole), whole[:20]...))
	var out struct{ A int }
	if err := e.Next(&out); err != nil || out.A != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
	if err := e.Next(&out); !errors.Is(err, ErrLost) {
		t.Errorf("an end within an event: %v", err)
	}
	e = eventsOf(written(t, "", ":message-type", "error", ":error-code", "Bad", ":error-message", "no"))
	if err := e.Next(&out); !Is(err, "Bad") {
		t.Errorf("an error: %v", err)
	}
	whole[len(whole)-1] ^= 1
	if err := eventsOf(whole).Next(&out); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("a wrong sum: %v", err)
	}
}
