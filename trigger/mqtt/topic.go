package mqtt

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	five "github.com/eclipse/paho.golang/packets"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

// topic is the destination of letters at a topic.
type topic struct {
	*link.Publisher
	name string
	qos  int
}

// Topic implements [queue.Topics].
func (s *source) Topic(name string) (trigger.Destination, error) {
	if err := link.CheckName(name); err != nil {
		return nil, document.Under("topic", err)
	}
	if strings.ContainsAny(name, "+#") {
		return nil, fmt.Errorf("topic: %q has wildcards: letters go to one topic", name)
	}
	t := &topic{s.publisher(), name, s.cfg.PublishQoS}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.topics = append(s.topics, t.Publisher)
	return t, nil
}

// Send implements [trigger.Destination].
func (t *topic) Send(ctx context.Context, l *letter.Letter) error {
	r := l.Record()
	m := link.Message{Topic: t.name, Body: r.Body, QoS: byte(t.qos), Props: &five.Properties{ContentType: link.Text(r.ContentType)}}
	for _, h := range r.Headers {
		property(m.Props, h)
	}
	if err := t.Publish(ctx, m); err != nil {
		return fmt.Errorf("publish to topic %q: %w", t.name, err)
	}
	return nil
}

// property gives a header of the event back the place that it had in the
// message, if it is about the content. Who is to be answered, and how the
// message was delivered, is not the letter's.
func property(p *five.Properties, h letter.Header) {
	switch {
	case strings.EqualFold(h.Key, correlateHeader):
		p.CorrelationData = h.Value[:min(len(h.Value), link.LongestTopic)]
	case strings.EqualFold(h.Key, formatHeader):
		if string(h.Value) == "1" {
			one := byte(1)
			p.PayloadFormat = &one
		}
	case len(h.Key) >= len(prefix) && strings.EqualFold(h.Key[:len(prefix)], prefix):
	default:
		p.User = append(p.User, five.User{Key: link.Text(h.Key), Value: link.Text(string(h.Value))})
	}
}

// Wants implements [queue.Replier].
func (s *session) Wants(m *queue.Message) bool {
	return s.src.cfg.Replies == "auto" && (*headers)(m).Get(replyHeader) != nil
}

// Reply implements [queue.Replier]. An answer that the broker refuses is
// dropped: the message is not at fault.
func (s *session) Reply(ctx context.Context, m *queue.Message, resp *event.Response, failed error) error {
	h := (*headers)(m)
	out := link.Message{Topic: string(h.Get(replyHeader)), QoS: byte(s.src.cfg.PublishQoS), Props: &five.Properties{CorrelationData: h.Get(correlateHeader)}}
	if err := link.CheckName(out.Topic); err != nil || strings.ContainsAny(out.Topic, "+#") {
		s.src.log.Warn("answer dropped: the response topic is none", "topic", out.Topic)
		return nil
	}
	if failed != nil {
		failure(&out, failed)
	} else {
		answer(&out, resp)
	}
	err := s.src.replies.Publish(ctx, out)
	var no *link.Refusal
	if event.IsPermanent(err) || errors.As(err, &no) {
		s.src.log.Warn("answer refused", "topic", out.Topic, "error", err)
		return nil
	}
	return err
}

func answer(out *link.Message, resp *event.Response) {
	out.Body, out.Props.ContentType = resp.Body, link.Text(resp.ContentType)
	if resp.ContentType == "" {
		out.Props.ContentType = "text/plain; charset=utf-8"
	}
	for _, f := range resp.Header {
		out.Props.User = append(out.Props.User, five.User{Key: link.Text(f.Key), Value: link.Text(f.Value)})
	}
	status := resp.Status
	if status == 0 {
		status = 200
	}
	out.Props.User = append(out.Props.User, five.User{Key: "status", Value: strconv.Itoa(status)})
}

func failure(out *link.Message, err error) {
	status := 500
	var e *event.Error
	if errors.As(err, &e) && e.Status != 0 {
		status = e.Status
	}
	out.Body, out.Props.ContentType = []byte(err.Error()), "text/plain; charset=utf-8"
	out.Props.User = []five.User{{Key: "status", Value: strconv.Itoa(status)}, {Key: "error", Value: link.Text(err.Error())}}
}
