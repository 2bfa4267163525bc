package sqs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/letter"
)

// topic is the destination of letters in another queue of the same service.
type topic struct {
	src  *source
	name string

	mu     sync.Mutex
	client *amazon.Client
	url    string
	closed bool
}

// Topic implements [queue.Topics].
func (s *source) Topic(name string) (trigger.Destination, error) {
	if !isName(name) {
		return nil, fmt.Errorf("%q is no name of a queue", name)
	}
	t := &topic{src: s, name: name}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics = append(s.topics, t)
	return t, nil
}

// Send implements [trigger.Destination].
func (t *topic) Send(ctx context.Context, l *letter.Letter) error {
	c, url, err := t.open(ctx)
	if err != nil {
		return err
	}
	out, err := t.message(l, url)
	if err != nil {
		return event.Permanent(fmt.Errorf("send to queue %q: %w", t.name, err))
	}
	err = c.Call(ctx, "SendMessage", 0, out, nil)
	if amazon.Is(err, "InvalidMessageContents", "InvalidParameterValue", "MessageTooLong", "InvalidAttributeValue") {
		return event.Permanent(fmt.Errorf("send to queue %q: %w", t.name, err))
	}
	if err != nil {
		return fmt.Errorf("send: %w", t.src.explain(t.name, err))
	}
	return nil
}

// sending is a message on its way to a queue.
type sending struct {
	QueueURL          string `json:"QueueUrl"`
	MessageBody       string
	MessageAttributes map[string]attribute `json:",omitempty"`
	Group             string               `json:"MessageGroupId,omitempty"`
	Deduplication     string               `json:"MessageDeduplicationId,omitempty"`
}

// mostAttributes is how many the service lets a message have.
const mostAttributes = 10

// first are the headers of a letter that are sent whatever else there is.
var first = []string{"letter", "reason", "error", "attempts", "function", "trigger", "event-id"}

// message is the one of a letter. What the letter says goes before the headers of
// the event, of which there may be more than a message has room for.
func (t *topic) message(l *letter.Letter, url string) (sending, error) {
	r := l.Record()
	out := sending{QueueURL: url, MessageBody: string(r.Body), MessageAttributes: map[string]attribute{}}
	switch {
	case len(r.Body) == 0:
		return out, errors.New("the event has no body, and a queue of SQS takes no message without one")
	case !utf8.ValidString(out.MessageBody):
		return out, errors.New("the body is not UTF-8, and a queue of SQS takes nothing else")
	}
	if r.ContentType != "" {
		out.add(letter.Header{Key: contentType, Value: letter.Bytes(r.ContentType)})
	}
	for _, key := range first {
		for _, h := range r.Headers {
			if h.Key == letter.Prefix+key {
				out.add(h)
			}
		}
	}
	for _, h := range r.Headers {
		out.add(h)
	}
	if isOrdered(t.name) {
		out.Group, out.Deduplication = string(r.Key), r.ID
		if out.Group == "" {
			out.Group = "letters"
		}
	}
	return out, nil
}

// longestAttribute bounds what is sent of an error's text: a message has 256 KiB in
// all, its body among them.
const longestAttribute = 4 << 10

func (out *sending) add(h letter.Header) {
	value := string(h.Value[:min(len(h.Value), longestAttribute)])
	if len(out.MessageAttributes) >= mostAttributes || !attributeName.MatchString(h.Key) || value == "" {
		return
	}
	a := attribute{DataType: "String", StringValue: value}
	if !utf8.ValidString(value) {
		a = attribute{DataType: "Binary", BinaryValue: []byte(value)}
	}
	out.MessageAttributes[h.Key] = a
}

func (t *topic) open(ctx context.Context) (*amazon.Client, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, "", errors.New("send to queue: the trigger has ended")
	}
	if t.client == nil {
		c, err := t.src.at.Open(service)
		if err != nil {
			return nil, "", err
		}
		t.client = c
	}
	if t.url == "" {
		url, err := t.src.find(ctx, t.client, t.name)
		if err != nil {
			return nil, "", err
		}
		t.url = url
	}
	return t.client, t.url, nil
}

func (t *topic) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.client != nil {
		t.client.Close()
	}
}
