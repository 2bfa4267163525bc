package rabbitmq

import (
	"context"
	"errors"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/rabbitmq/link"
)

// longestShort is the most that AMQP lets a name or an id have, and longestText
// what is kept of an error's text: all headers together share one frame.
const (
	longestShort = 255
	longestText  = 8 << 10
)

// topic is the destination of letters at an exchange.
type topic struct {
	*link.Publisher
	exchange, key string
}

// Send implements [trigger.Destination].
func (t *topic) Send(ctx context.Context, l *letter.Letter) error {
	r := l.Record()
	m := amqp.Publishing{
		MessageId:    short(r.ID),
		ContentType:  short(r.ContentType),
		DeliveryMode: amqp.Persistent,
		Timestamp:    time.Now(),
		Headers:      amqp.Table{},
		Body:         r.Body,
	}
	for _, h := range r.Headers {
		property(&m, h)
	}
	key := t.key
	if key == "" {
		key = short(string(r.Key))
	}
	return t.Publish(ctx, t.exchange, key, m)
}

// property gives a header of the event back the place that it had in the
// message: the properties that are about content. The others, such as who is
// to be answered, are not the letter's.
func property(m *amqp.Publishing, h letter.Header) {
	v := string(h.Value)
	switch strings.ToLower(h.Key) {
	case correlateHeader:
		m.CorrelationId = short(v)
	case typeHeader:
		m.Type = short(v)
	case encodingHeader:
		m.ContentEncoding = short(v)
	default:
		k := short(h.Key)
		if _, twice := m.Headers[k]; !twice {
			m.Headers[k] = v[:min(len(v), longestValue(k))]
		}
	}
}

func longestValue(key string) int {
	if key == letter.Prefix+"error" {
		return longestText
	}
	return link.FrameSize
}

func short(s string) string { return s[:min(len(s), longestShort)] }

// Wants implements [queue.Replier].
func (s *session) Wants(m *queue.Message) bool {
	return s.src.cfg.Replies == "auto" && (*headers)(m).Get(replyHeader) != nil
}

// Reply implements [queue.Replier]. An answer that the broker refuses, or that
// nobody waits for any more, is dropped: the message is not at fault.
func (s *session) Reply(ctx context.Context, m *queue.Message, resp *event.Response, failed error) error {
	h := (*headers)(m)
	out := amqp.Publishing{
		MessageId:     short("reply-" + string(m.Event.ID)),
		CorrelationId: string(h.Get(correlateHeader)),
		Timestamp:     time.Now(),
		Headers:       amqp.Table{},
	}
	if out.CorrelationId == "" {
		out.CorrelationId = short(string(m.Event.ID))
	}
	if failed != nil {
		failure(&out, failed)
	} else {
		answer(&out, resp)
	}
	to := string(h.Get(replyHeader))
	err := s.src.replies.Publish(ctx, "", to, out)
	var refusal *amqp.Error
	switch {
	case err == nil:
	case errors.Is(err, link.ErrNoRoute):
		s.src.log.Debug("nobody waits for the answer any more", "replyTo", to)
	case event.IsPermanent(err), errors.As(err, &refusal) && refusal.Recover && refusal.Server:
		s.src.log.Warn("answer refused", "replyTo", to, "error", err)
	default:
		return err
	}
	return nil
}

func answer(out *amqp.Publishing, resp *event.Response) {
	out.ContentType, out.Body = short(resp.ContentType), resp.Body
	if out.ContentType == "" {
		out.ContentType = "text/plain; charset=utf-8"
	}
	for _, f := range resp.Header {
		out.Headers[short(f.Key)] = f.Value
	}
	status := resp.Status
	if status == 0 {
		status = 200
	}
	out.Headers["status"] = int32(status)
}

func failure(out *amqp.Publishing, err error) {
	status := 500
	var e *event.Error
	if errors.As(err, &e) && e.Status != 0 {
		status = e.Status
	}
	text := err.Error()
	text = text[:min(len(text), longestText)]
	out.ContentType, out.Body = "text/plain; charset=utf-8", []byte(text)
	out.Headers["status"], out.Headers["error"] = int32(status), text
}
