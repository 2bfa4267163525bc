package nats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/nats/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

// session is one connection and its subscriptions, all of which bring their
// messages into one channel.
type session struct {
	src     *source
	conn    *link.Conn
	subs    []*nats.Subscription
	in      chan *nats.Msg
	drained chan struct{} // closed when nothing comes into in any more

	dropped atomic.Int64 // by the client, for in was full
	when    atomic.Int64 // the last one, in ns since 1970
}

var (
	_ queue.Session    = (*session)(nil)
	_ queue.Drainer    = (*session)(nil)
	_ queue.Replier    = (*session)(nil)
	_ queue.Lagger     = (*session)(nil)
	_ queue.Complainer = (*session)(nil)
)

func (s *session) subscribe(ctx context.Context) error {
	for _, subject := range s.src.subjects {
		sub, err := s.conn.ChanQueueSubscribe(subject, s.src.group, s.in)
		if err != nil {
			return fmt.Errorf("subscribe to %q: %w", subject, err)
		}
		s.subs = append(s.subs, sub)
	}
	if err := s.conn.Sync(ctx); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// Receive implements [queue.Session].
func (s *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	select {
	case m := <-s.in:
		fill(ms[0], m)
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.conn.Lost():
		return 0, s.conn.Why()
	case <-s.drained:
		n := s.rest(ms)
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	return 1 + s.rest(ms[1:]), nil
}

// rest takes what is there already.
func (s *session) rest(ms []*queue.Message) int {
	for n := range ms {
		select {
		case m := <-s.in:
			fill(ms[n], m)
		default:
			return n
		}
	}
	return len(ms)
}

func fill(to *queue.Message, m *nats.Msg) {
	to.Buffer = link.Fill(&to.Event, m, to.Buffer[:0])
	to.Ref = m
}

// Settle implements [queue.Session]. NATS core hears of no outcome.
func (s *session) Settle(context.Context, *queue.Message, queue.Verdict) error { return nil }

// Wants implements [queue.Replier].
func (s *session) Wants(m *queue.Message) bool {
	return s.src.cfg.Replies == "auto" && m.Ref.(*nats.Msg).Reply != ""
}

// Reply implements [queue.Replier]. An answer that the server would refuse is
// told to who asked; one that cannot be sent at all is dropped, for the message
// is not at fault.
func (s *session) Reply(_ context.Context, m *queue.Message, resp *event.Response, failed error) error {
	to := m.Ref.(*nats.Msg).Reply
	err := s.answer(to, resp, failed)
	if errors.Is(err, nats.ErrMaxPayload) {
		err = s.conn.PublishMsg(link.Failure(to, event.Errorf(500, "the answer has %d bytes, more than the server takes: %d", len(resp.Body), s.conn.MaxPayload())))
	}
	switch {
	case err == nil:
		return nil
	case s.conn.IsClosed():
		return s.conn.Why()
	}
	s.src.log.Warn("answer dropped", "to", to, "error", err)
	return nil
}

func (s *session) answer(to string, resp *event.Response, failed error) error {
	if failed != nil {
		return s.conn.PublishMsg(link.Failure(to, failed))
	}
	if link.Plain(resp) {
		return s.conn.Publish(to, resp.Body)
	}
	return s.conn.PublishMsg(link.Answer(to, resp))
}

// Drain implements [queue.Drainer]: what the server has sent by then is in the
// channel.
func (s *session) Drain(ctx context.Context) error {
	for _, sub := range s.subs {
		if err := sub.Drain(); err != nil {
			return fmt.Errorf("unsubscribe: %w", err)
		}
	}
	if err := s.conn.Sync(ctx); err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	close(s.drained)
	return nil
}

// Lag implements [queue.Lagger]: what waits here. The server keeps nothing.
func (s *session) Lag(context.Context) (int64, error) { return int64(len(s.in)), nil }

// Complaint implements [queue.Complainer]: it tells of messages that were lost
// in the last minute because they came faster than they were run.
func (s *session) Complaint() string {
	var dropped int64
	for _, sub := range s.subs {
		if n, err := sub.Dropped(); err == nil {
			dropped += int64(n)
		}
	}
	now := time.Now().UnixNano()
	if before := s.dropped.Swap(dropped); dropped > before {
		s.when.Store(now)
		s.src.lost.Add(dropped - before)
	}
	if when := s.when.Load(); when == 0 || now-when > int64(time.Minute) {
		return ""
	}
	return fmt.Sprintf("slow consumer: %d messages were lost, for they came faster than the function took them and %d waited already", s.src.lost.Load(), s.src.cfg.Pending)
}

// Close implements [queue.Session]. Answers are with the server then.
func (s *session) Close(ctx context.Context) error {
	err := s.conn.Sync(ctx)
	s.conn.Close()
	return err
}
