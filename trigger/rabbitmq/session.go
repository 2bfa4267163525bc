package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/trigger/queue"
)

// session is one connection and the subscription of its one consuming channel.
type session struct {
	src        *source
	conn       *amqp.Connection
	ch         *amqp.Channel
	prefetch   int
	topic      string
	deliveries <-chan amqp.Delivery
	closed     chan *amqp.Error
	cancelled  chan string
	ledger     ledger
	writer     writer // of Receive

	asking sync.Mutex
	ask    *amqp.Channel // for Lag: a question may cost the channel
}

var (
	_ queue.Session = (*session)(nil)
	_ queue.Bulk    = (*session)(nil)
	_ queue.Lagger  = (*session)(nil)
	_ queue.Replier = (*session)(nil)
	_ queue.Stopper = (*session)(nil)
)

// Receive implements [queue.Session].
func (s *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	select {
	case d, ok := <-s.deliveries:
		if !ok {
			return 0, s.lost()
		}
		s.fill(ms[0], &d)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	n := 1
	for ; n < len(ms); n++ {
		select {
		case d, ok := <-s.deliveries:
			if ok {
				s.fill(ms[n], &d)
				continue
			}
		default:
		}
		break
	}
	s.ledger.open(ms[:n])
	return n, nil
}

// lost says why there are no more deliveries.
func (s *session) lost() error {
	select {
	case <-s.cancelled:
		return fmt.Errorf("the broker ended the subscription: queue %q was deleted, or has lost its leader", s.topic)
	default:
	}
	if e := <-s.closed; e != nil { // closed at the latest with deliveries
		return fmt.Errorf("lost RabbitMQ: %w", e)
	}
	return fmt.Errorf("lost RabbitMQ: %w", amqp.ErrClosed)
}

// Settle implements [queue.Session].
func (s *session) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	return settled(s.ledger.settle(m.Tag, v.Action))
}

// AckAll implements [queue.Bulk].
func (s *session) AckAll(_ context.Context, ms []*queue.Message) error {
	return settled(s.ledger.ackAll(ms))
}

func settled(err error) error {
	if err != nil {
		return fmt.Errorf("settle message: %w", err)
	}
	return nil
}

// Stop implements [queue.Stopper]. What the broker has sent and nobody received
// goes back to the queue with Close. Where the order counts, the subscription
// lasts until then: else the next consumer would begin with what lies behind
// what is still to be settled here.
func (s *session) Stop(context.Context) error {
	if c := &s.src.cfg; s.prefetch == 1 || c.SingleActiveConsumer || c.Exclusive {
		return nil
	}
	if err := s.ch.Cancel(s.src.cfg.ConsumerTag, true); err != nil {
		return fmt.Errorf("end subscription: %w", err)
	}
	return nil
}

// Close implements [queue.Session]. The broker takes back what is not settled.
func (s *session) Close(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(5 * time.Second)
	}
	err := s.conn.CloseDeadline(deadline)
	if errors.Is(err, amqp.ErrClosed) {
		return nil
	}
	return err
}

// Lag implements [queue.Lagger]: the messages that wait in the queue.
func (s *session) Lag(context.Context) (int64, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.ask == nil || s.ask.IsClosed() {
		ch, err := s.conn.Channel()
		if err != nil {
			return 0, fmt.Errorf("open channel: %w", err)
		}
		s.ask = ch
	}
	q, err := s.ask.QueueDeclarePassive(s.topic, false, false, false, false, nil)
	if err != nil {
		return 0, refused(fmt.Sprintf("queue %q", s.topic), err)
	}
	return int64(q.Messages), nil
}
