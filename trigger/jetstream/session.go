package jetstream

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/trigger/nats/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

// session is one connection and its requests for messages. What is asked for
// and what is not settled are together never more than the prefetch: a message
// that has come is received at once, and its deadline is then the engine's care.
type session struct {
	src      *source
	conn     *link.Conn
	stream   string
	made     string // when the stream was, which tells it from one of its name before
	consumer string
	next     string // subject of requests
	info     string // subject of questions about the consumer
	prefetch int64
	request  request

	open atomic.Int64  // received and not settled
	more chan struct{} // there is room for a request

	// Of the goroutine that receives:
	in    chan *nats.Msg
	sub   *nats.Subscription // nil while nothing shall come
	asked atomic.Int64       // of requests: not come yet
	heard time.Time
	watch *time.Ticker
}

var (
	_ queue.Session  = (*session)(nil)
	_ queue.Extender = (*session)(nil)
	_ queue.Lagger   = (*session)(nil)
	_ queue.Floorer  = (*session)(nil)
	_ queue.Numberer = (*session)(nil)
)

func newSession(s *source, conn *link.Conn, c *jetstream.ConsumerInfo, made time.Time, prefetch int) *session {
	api := "$JS.API."
	if s.cfg.Domain != "" {
		api = "$JS." + s.cfg.Domain + ".API."
	}
	q := &session{src: s, conn: conn, stream: c.Stream, made: strconv.FormatInt(made.UnixNano(), 10), consumer: c.Name, prefetch: int64(prefetch),
		next: api + "CONSUMER.MSG.NEXT." + c.Stream + "." + c.Name, info: api + "CONSUMER.INFO." + c.Stream + "." + c.Name,
		in: make(chan *nats.Msg, prefetch+spare), more: make(chan struct{}, 1), watch: time.NewTicker(s.cfg.Heartbeat.Std())}
	q.request.heartbeat = s.cfg.Heartbeat.Std()
	if m := c.Config.MaxAckPending; m > 0 && int64(m) < q.prefetch {
		q.prefetch = int64(m)
	}
	if m := c.Config.MaxRequestBatch; m > 0 && int64(m) < q.prefetch {
		q.prefetch = int64(m)
	}
	return q
}

// spare is room for what the server says besides messages.
const spare = 256

// Receive implements [queue.Session].
func (s *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	for {
		if err := s.ask(); err != nil {
			return 0, err
		}
		select {
		case m := <-s.in:
			n, err := s.take(m, ms)
			if n > 0 || err != nil {
				return n, err
			}
		case <-s.more:
		case <-s.watch.C:
			if silent := time.Since(s.heard); s.asked.Load() > 0 && silent > 2*s.request.heartbeat {
				return 0, fmt.Errorf("heard nothing of consumer %q for %v", s.consumer, silent.Round(time.Millisecond))
			}
		case <-ctx.Done():
			s.cease()
			return 0, ctx.Err()
		case <-s.conn.Lost():
			return 0, s.conn.Why()
		}
	}
}

// take fills ms with m and what else is there. What the server says of a
// request is no message.
func (s *session) take(m *nats.Msg, ms []*queue.Message) (n int, err error) {
	s.heard = time.Now()
	for {
		if m.Reply == "" {
			if err := s.hear(m); err != nil {
				return n, err
			}
		} else if s.fill(ms[n], m) {
			n++
		}
		if n == len(ms) {
			break
		}
		select {
		case m = <-s.in:
			continue
		default:
		}
		break
	}
	s.asked.Add(int64(-n))
	s.open.Add(int64(n))
	return n, nil
}

// fill makes a message of what came; false if it is none.
func (s *session) fill(to *queue.Message, m *nats.Msg) bool {
	p, ok := parsePlace(m.Reply)
	if !ok {
		s.src.log.Warn("message without a place in the stream left out", "subject", m.Subject)
		return false
	}
	to.Tag, to.Ref, to.Delivered = p.seq, m, p.delivered-1
	ev := &to.Event
	to.Buffer = link.Fill(ev, m, to.Buffer[:0])
	ev.Time = time.Unix(0, p.time)
	if len(ev.ID) == 0 {
		n := len(to.Buffer)
		b := append(append(to.Buffer, s.stream...), ':')
		to.Buffer = strconv.AppendUint(b, p.seq, 10)
		ev.ID = to.Buffer[n:len(to.Buffer):len(to.Buffer)]
	}
	return true
}

var ack, extend, again = []byte("+ACK"), []byte("+WPI"), []byte("-NAK")

// Settle implements [queue.Session].
func (s *session) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	say := ack
	switch v.Action {
	case queue.Requeue:
		say = again
		if v.Delay > 0 {
			say = fmt.Appendf(nil, `-NAK {"delay": %d}`, v.Delay.Nanoseconds())
		}
	case queue.Reject:
		const most = 1 << 10
		say = append([]byte("+TERM "), v.Reason[:min(len(v.Reason), most)]...)
	}
	err := s.conn.Publish(m.Ref.(*nats.Msg).Reply, say)
	if s.open.Add(-1); s.room() {
		select {
		case s.more <- struct{}{}:
		default:
		}
	}
	if err != nil {
		return fmt.Errorf("settle message %d: %w", m.Tag, err)
	}
	return nil
}

// Extend implements [queue.Extender].
func (s *session) Extend(_ context.Context, m *queue.Message) error {
	return s.conn.Publish(m.Ref.(*nats.Msg).Reply, extend)
}

// Close implements [queue.Session]. The server then has what Settle said.
func (s *session) Close(ctx context.Context) error {
	s.cease()
	s.watch.Stop()
	err := s.conn.Sync(ctx)
	s.conn.Close()
	return err
}
