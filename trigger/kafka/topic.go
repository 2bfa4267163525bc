package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// Topic implements [stream.Topics].
func (s *Source) Topic(name string) (trigger.Destination, error) {
	var es document.Errors
	if checkTopic(&es, "topic", name); len(es) > 0 || name[0] == '^' {
		return nil, fmt.Errorf("%q is no topic to send to", name)
	}
	return &destination{s, name}, nil
}

// destination sends letters to a topic, each under its event's key, and waits
// until all replicas in sync have it.
type destination struct {
	src   *Source
	topic string
}

func (d *destination) Send(ctx context.Context, l *letter.Letter) error {
	cl, err := d.src.sender()
	if err != nil {
		return err
	}
	r := d.record(l)
	if err := cl.ProduceSync(ctx, r).FirstErr(); err != nil {
		return fmt.Errorf("send to topic %s: %w", d.topic, tooLarge(d.src.explain(err)))
	}
	return nil
}

// record is what readers of the topic get: see [letter.Record].
func (d *destination) record(l *letter.Letter) *kgo.Record {
	from := l.Record()
	r := &kgo.Record{Topic: d.topic, Key: from.Key, Value: from.Body}
	if from.ContentType != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: contentType, Value: []byte(from.ContentType)})
	}
	for _, h := range from.Headers {
		if !strings.EqualFold(h.Key, contentType) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	return r
}

const contentType = "Content-Type"

// sender returns the client for letters, which all destinations share.
func (s *Source) sender() (*kgo.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("send to topic: the trigger has stopped")
	}
	if s.producer != nil {
		return s.producer, nil
	}
	opts, _, err := s.cluster().Base()
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(int32(s.cfg.MaxMessageSize)), //nolint:gosec // Validate bounds it
		kgo.RecordDeliveryTimeout(s.cfg.RebalanceTimeout.Std()/2))
	s.producer, err = kgo.NewClient(opts...)
	if err != nil {
		return nil, s.explain(err)
	}
	return s.producer, nil
}

// Close ends the client for letters. Send fails from then on.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.producer != nil {
		s.producer.Close()
	}
	return nil
}
