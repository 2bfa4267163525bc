package sqs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/queue"
)

var service = amazon.Service{Name: "sqs", Target: "AmazonSQS", JSON: "1.0"}

// source opens sessions of one queue.
type source struct {
	cfg Config
	at  *amazon.Place
	log *slog.Logger

	mu     sync.Mutex
	topics []*topic
}

var (
	_ queue.Source  = (*source)(nil)
	_ queue.Topics  = (*source)(nil)
	_ queue.Watched = (*source)(nil)
	_ io.Closer     = (*source)(nil)
)

// Connect implements [queue.Source].
func (s *source) Connect(ctx context.Context, w queue.Want) (queue.Session, error) {
	if w.Seek {
		s.log.Warn("a queue of SQS keeps nothing that was read: it is read on where it is")
	}
	q, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := q.waiting(ctx); err != nil {
		q.Close()
		return nil, err
	}
	return newSession(q), nil
}

// remote is a queue at the service.
type remote struct {
	*amazon.Client
	src *source
	url string
}

// open finds the queue.
func (s *source) open(ctx context.Context) (*remote, error) {
	c, err := s.at.Open(service)
	if err != nil {
		return nil, err
	}
	url, err := s.find(ctx, c, s.cfg.Queue)
	if err != nil {
		c.Close()
		return nil, err
	}
	return &remote{c, s, url}, nil
}

// find asks for the url by which the service knows a queue.
func (s *source) find(ctx context.Context, c *amazon.Client, name string) (string, error) {
	in := struct {
		QueueName string
		Owner     string `json:"QueueOwnerAWSAccountId,omitempty"`
	}{name, s.cfg.Owner}
	var out struct {
		URL string `json:"QueueUrl"`
	}
	if err := c.Call(ctx, "GetQueueUrl", 0, in, &out); err != nil {
		return "", s.explain(name, err)
	}
	return out.URL, nil
}

// explain says what an error is about.
func (s *source) explain(name string, err error) error {
	if why := amazon.Denied(err); why != "" {
		return fmt.Errorf("queue %q in %s: %s: %w", name, s.at.Region(), why, err)
	}
	if amazon.Is(err, "QueueDoesNotExist", "NonExistentQueue") {
		return fmt.Errorf("queue %q is not there, in %s: %w", name, s.at.Region(), err)
	}
	return fmt.Errorf("queue %q: %w", name, err)
}

// backlog is how many messages a queue has, about.
type backlog struct{ ready, out int64 }

// waiting asks how many messages the queue has.
func (q *remote) waiting(ctx context.Context) (b backlog, err error) {
	in := struct {
		QueueURL       string `json:"QueueUrl"`
		AttributeNames []string
	}{q.url, []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"}}
	var out struct{ Attributes map[string]string }
	if err := q.Call(ctx, "GetQueueAttributes", 0, in, &out); err != nil {
		return b, q.src.explain(q.src.cfg.Queue, err)
	}
	for name, n := range map[string]*int64{in.AttributeNames[0]: &b.ready, in.AttributeNames[1]: &b.out} {
		if *n, err = strconv.ParseInt(out.Attributes[name], 10, 64); err != nil {
			return b, fmt.Errorf("queue %q: %s is %q", q.src.cfg.Queue, name, out.Attributes[name])
		}
	}
	return b, nil
}

// Watch implements [queue.Watched].
func (s *source) Watch() (trigger.Waiter, error) { return &watcher{src: s}, nil }

// watcher asks how many messages wait, those included that were given to one who
// has gone.
type watcher struct {
	src *source
	q   *remote // nil: not found yet
}

// Waiting implements [trigger.Waiter].
func (w *watcher) Waiting(ctx context.Context) (int64, error) {
	if w.q == nil {
		q, err := w.src.open(ctx)
		if err != nil {
			return 0, err
		}
		w.q = q
	}
	b, err := w.q.waiting(ctx)
	if err != nil {
		w.Close()
		return 0, err
	}
	return b.ready + b.out, nil
}

// Close implements [trigger.Waiter].
func (w *watcher) Close() {
	if w.q != nil {
		w.q.Close()
		w.q = nil
	}
}

// Close ends the destinations of letters.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.topics {
		t.close()
	}
	return nil
}
