package amazon

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream/eventstreamapi"
)

// Events is an answer that goes on: events as the service sends them, each a message
// of application/vnd.amazon.eventstream. One goroutine reads it.
type Events struct {
	action  string
	body    io.ReadCloser
	failed  error // of body, but for its end
	cancel  context.CancelFunc
	silence time.Duration // after which the answer is given up
	read    *bufio.Reader
	decoder *eventstream.Decoder
	payload []byte
}

// Listen does an action whose answer goes on until it is closed, ctx is done or the
// service ends it. It returns when the service has begun to answer.
func (c *Client) Listen(ctx context.Context, action string, in any) (*Events, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(c.timeout, cancel)
	defer late.Stop()
	req, err := c.request(ctx, action, body)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	resp, err := c.streams.Do(req)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer cancel()
		defer resp.Body.Close()
		text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
		if err != nil {
			return nil, fmt.Errorf("%s: read answer: %w", action, err)
		}
		return nil, fmt.Errorf("%s: %w", action, explain(resp, text))
	}
	e := &Events{action: action, body: resp.Body, cancel: cancel, silence: c.timeout, decoder: eventstream.NewDecoder()}
	e.read = bufio.NewReader((*noting)(e))
	return e, nil
}

// noting is what an answer is read from.
type noting Events

// Read implements [io.Reader].
func (e *noting) Read(b []byte) (int, error) {
	n, err := e.body.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		e.failed = err
	}
	return n, err
}

// Close ends the answer.
func (e *Events) Close() {
	e.cancel()
	_ = e.body.Close()
}

// mostMessage is the most that the format lets a message have.
const mostMessage = 24 << 20

// ErrLost says that an answer has ended, or that the connection has, perhaps within an
// event. It is asked for anew.
var ErrLost = errors.New("the answer has ended")

// Next waits for the next event and fills out from it, up to the timeout: the service
// sends one that says nothing where it has none. It returns [ErrLost] at the end. What
// the service says went wrong is an [*Error]; any other error is about what it sent.
func (e *Events) Next(out any) error {
	late := time.AfterFunc(e.silence, e.cancel)
	defer late.Stop()
	for {
		text, err := e.message()
		switch {
		case err != nil && (e.failed != nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
			return fmt.Errorf("%s: %w", e.action, ErrLost)
		case err != nil:
			return fmt.Errorf("%s: %w", e.action, err)
		case text == nil:
			continue // what the answer begins with
		}
		if err := json.Unmarshal(text, out); err != nil {
			return fmt.Errorf("%s: read event: %w", e.action, err)
		}
		return nil
	}
}

// message is the text of an event; nil if it is the one that says nothing.
func (e *Events) message() ([]byte, error) {
	head, err := e.read.Peek(4)
	if err != nil {
		return nil, err
	}
	if n := binary.BigEndian.Uint32(head); n > mostMessage {
		return nil, fmt.Errorf("a message says that it has %d bytes", n)
	}
	m, err := e.decoder.Decode(e.read, e.payload[:0])
	if err != nil {
		return nil, err
	}
	e.payload = m.Payload
	if kind := header(m, eventstreamapi.MessageTypeHeader); kind != eventstreamapi.EventMessageType {
		return nil, failure(m, kind)
	}
	if header(m, eventstreamapi.EventTypeHeader) == "initial-response" {
		return nil, nil
	}
	return m.Payload, nil
}

func header(m eventstream.Message, name string) string {
	v, ok := m.Headers.Get(name).(eventstream.StringValue)
	if !ok {
		return ""
	}
	return string(v)
}

// failure is an error that came in place of an event. It has no status of its own:
// one that the service has to answer for has 500.
func failure(m eventstream.Message, kind string) error {
	e := &Error{Status: http.StatusBadRequest, Code: header(m, eventstreamapi.ErrorCodeHeader), Message: header(m, eventstreamapi.ErrorMessageHeader)}
	if kind == eventstreamapi.ExceptionMessageType {
		var said struct{ Message string }
		_ = json.Unmarshal(m.Payload, &said) // its code says enough
		e.Code, e.Message = header(m, eventstreamapi.ExceptionTypeHeader), said.Message
	}
	if e.Code == "" {
		return fmt.Errorf("a message is of the type %.40q", kind)
	}
	if e.Code == "InternalFailureException" {
		e.Status = http.StatusInternalServerError
	}
	return e
}
