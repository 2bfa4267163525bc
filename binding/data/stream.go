package data

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Message is what is published.
type Message struct {
	Topic   string
	Key     []byte // nil: none
	Value   []byte
	Headers []Header
}

// Header is one header of a message. Content-Type, whatever its case, is what
// the service itself calls so, where it has that.
type Header struct{ Key, Value string }

// KeyHeader is the header that has the key where the service has no keys.
const KeyHeader = "Myelin-Key"

// MaxTopic is the most bytes of a topic's name, of a header's name and, times
// 32, of its value.
const MaxTopic = 255

// Publisher is what a driver of the class stream is. Publish sends messages, in
// their order as far as the service knows one, and returns when it has them, safe
// by its own rules: nil if it has all, else an error for each, nil for those that
// it has. It is called by many goroutines at once; messages have been checked,
// there is at least one, and they are lent until it returns.
type Publisher interface {
	Publish(ctx context.Context, ms []Message) []error
}

// Failed is len(ms) times err, as a Publisher returns it.
func Failed(ms []Message, err error) []error {
	errs := make([]error, len(ms))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// Unpublished is the error of several messages of which some were not
// published. Its reason is that of the first of them.
type Unpublished struct{ Errs []error } // one for each message; nil: it was

// Failed are the places of the messages that were not published.
func (u *Unpublished) Failed() (at []int) {
	for i, err := range u.Errs {
		if err != nil {
			at = append(at, i)
		}
	}
	return at
}

func (u *Unpublished) Error() string {
	at := u.Failed()
	return fmt.Sprintf("%d of %d messages not published; message %d: %v", len(at), len(u.Errs), at[0], u.Errs[at[0]])
}

// Unwrap returns the first error.
func (u *Unpublished) Unwrap() error { return u.Errs[u.Failed()[0]] }

// Stream is a binding of the class stream, for functions. Any goroutine may
// use it.
type Stream struct {
	handle
	to Publisher
}

// NewStream makes the handle of a driver, bounded by g, which may be nil.
func NewStream(p Publisher, g *Guard) *Stream { return &Stream{guarded(g), p} }

// LostStream is a handle whose calls all fail with err.
func LostStream(err error) *Stream { return &Stream{handle: handle{lost: err}} }

// Publish sends a message, and returns when the service has it.
func (s *Stream) Publish(ctx context.Context, m Message) error {
	return s.run(ctx, "stream.publish", false, func(ctx context.Context) error {
		return s.publish(ctx, []Message{m})[0]
	})
}

// PublishAll sends messages, in their order where they share a topic and a key,
// and returns when the service has them. If it does not have all of them, the
// error is an [*Unpublished], which says of each. A message that is wrong keeps all
// of them from being sent.
func (s *Stream) PublishAll(ctx context.Context, ms []Message) error {
	return s.run(ctx, "stream.publishAll", false, func(ctx context.Context) error {
		u := &Unpublished{s.publish(ctx, ms)}
		if len(u.Failed()) > 0 {
			return u
		}
		return nil
	})
}

// publish returns an error for each message; nil for those that the service has.
func (s *Stream) publish(ctx context.Context, ms []Message) []error {
	if errs := s.check(ms); errs != nil || len(ms) == 0 {
		return errs
	}
	errs := s.to.Publish(ctx, ms)
	for i, err := range errs {
		if err = Classify(err); ctx.Err() != nil && err != nil && (ReasonOf(err) == 0 || ReasonOf(err) == Away) {
			err = As(Timeout, err)
		}
		errs[i] = err
	}
	if errs == nil {
		errs = make([]error, len(ms))
	}
	return errs
}

// errHeld is why a message of several was not sent, though nothing is wrong
// with it.
var errHeld = Errorf(Misuse, "another message of the same call is wrong: none of them was sent")

// check refuses messages that not every service can have; nil: it refuses none.
func (s *Stream) check(ms []Message) []error {
	size, wrong := 0, false
	errs := make([]error, len(ms))
	for i := range ms {
		size += len(ms[i].Key) + len(ms[i].Value)
		errs[i] = checkMessage(&ms[i])
		wrong = wrong || errs[i] != nil
	}
	if err := s.guard.fits(size); err != nil && !wrong {
		return Failed(ms, err)
	}
	for i := range errs {
		if wrong && errs[i] == nil {
			errs[i] = errHeld
		}
	}
	if wrong {
		return errs
	}
	return nil
}

func checkMessage(m *Message) error {
	if !topicForm(m.Topic) {
		return Errorf(Misuse, "topic %.80q is not of 1 to %d bytes of text without spaces", m.Topic, MaxTopic)
	}
	for _, h := range m.Headers {
		switch {
		case h.Key == "" || len(h.Key) > MaxTopic || strings.ContainsFunc(h.Key, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }):
			return Errorf(Misuse, "header %.80q: a name has 1 to %d visible characters of ASCII, and no colon", h.Key, MaxTopic)
		case len(h.Value) > 32*MaxTopic || !utf8.ValidString(h.Value) || strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return Errorf(Misuse, "header %s: its value is not of at most %d bytes of text in one line", h.Key, 32*MaxTopic)
		}
	}
	return nil
}

func topicForm(t string) bool {
	return t != "" && len(t) <= MaxTopic && utf8.ValidString(t) && !strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// ContentType takes the header of that name out of a message's.
func (m *Message) ContentType() (value string, others []Header) {
	for _, h := range m.Headers {
		if strings.EqualFold(h.Key, "Content-Type") {
			value = h.Value
		} else {
			others = append(others, h)
		}
	}
	return value, others
}
