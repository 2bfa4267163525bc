package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/queue"
)

// session is one connection and its subscriptions. One goroutine reads whatever
// the server sends, always: a client that does not read is thrown out by it. What
// does not fit into the buffer is dropped here, and counted.
type session struct {
	src    *source
	client *redis.Client
	sub    *redis.PubSub
	in     chan *redis.Message
	bytes  atomic.Int64 // of what is in it
	heard  atomic.Int64 // when the server last sent anything, in ns since 1970
	dropAt atomic.Int64 // when a message was last dropped

	ended chan struct{} // closed when nothing comes into in any more
	why   error         // of that; nil: drained
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

var (
	_ queue.Session    = (*session)(nil)
	_ queue.Drainer    = (*session)(nil)
	_ queue.Lagger     = (*session)(nil)
	_ queue.Complainer = (*session)(nil)
)

// What pings are answered with that say how far the server is.
const (
	subscribed = "subscribed"
	drained    = "drained"
)

// subscribe waits until the server has taken all subscriptions.
func (s *session) subscribe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.src.cfg.ConnectTimeout.Std()+s.src.cfg.Timeout.Std())
	defer cancel()
	cfg := &s.src.cfg
	var errs []error
	if of := cfg.Channels; len(of) > 0 {
		if cfg.Sharded {
			errs = append(errs, s.sub.SSubscribe(ctx, of...))
		} else {
			errs = append(errs, s.sub.Subscribe(ctx, of...))
		}
	}
	if of := cfg.Patterns; len(of) > 0 {
		errs = append(errs, s.sub.PSubscribe(ctx, of...))
	}
	if err := errors.Join(append(errs, s.sub.Ping(ctx, subscribed))...); err != nil {
		return err
	}
	for {
		got, err := s.sub.ReceiveTimeout(ctx, cfg.Timeout.Std())
		if err != nil {
			return err
		}
		if s.take(got) == subscribed {
			return nil
		}
	}
}

// take notes what the server sent, and returns the answer to a ping.
func (s *session) take(got any) string {
	switch got := got.(type) {
	case *redis.Message:
		s.put(got)
	case *redis.Pong:
		return got.Payload
	}
	return ""
}

// put buffers a message, or drops it.
func (s *session) put(m *redis.Message) {
	size := int64(len(m.Payload) + len(m.Channel))
	if s.bytes.Load()+size <= int64(s.src.cfg.PendingBytes) {
		select {
		case s.in <- m:
			s.bytes.Add(size)
			return
		default:
		}
	}
	s.src.lost.Add(1)
	s.dropAt.Store(time.Now().UnixNano())
}

// read takes what comes until the connection ends or is drained.
func (s *session) read() {
	defer close(s.ended)
	for {
		got, err := s.sub.Receive(context.Background())
		if err != nil {
			s.why = fmt.Errorf("read from Redis: %w", s.src.explain(err))
			if errors.Is(err, io.EOF) { // which would mean an orderly end
				s.why = errors.New("read from Redis: it closed the connection")
			}
			return
		}
		s.heard.Store(time.Now().UnixNano())
		if s.take(got) == drained {
			return
		}
	}
}

// ping asks the server whether it is there, and ends the connection if it is
// not.
func (s *session) ping(ctx context.Context) {
	every := s.src.cfg.PingInterval.Std()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		case <-tick.C:
		}
		silent := time.Since(time.Unix(0, s.heard.Load())) > 3*every
		if silent || s.sub.Ping(ctx) != nil {
			_ = s.sub.Close() // the reader says so
			return
		}
	}
}

// Receive implements [queue.Session].
func (s *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	select {
	case m := <-s.in:
		s.fill(ms[0], m)
		return 1 + s.rest(ms[1:]), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.ended: // what came before is run still
		if n := s.rest(ms); n > 0 {
			return n, nil
		}
		if s.why != nil {
			return 0, s.why
		}
		return 0, io.EOF
	}
}

// rest takes what is there already.
func (s *session) rest(ms []*queue.Message) int {
	for n := range ms {
		select {
		case m := <-s.in:
			s.fill(ms[n], m)
		default:
			return n
		}
	}
	return len(ms)
}

func (s *session) fill(to *queue.Message, m *redis.Message) {
	s.bytes.Add(-int64(len(m.Payload) + len(m.Channel)))
	to.Buffer = append(to.Buffer[:0], m.Payload...)
	to.Event.Body, to.Event.Topic = to.Buffer, m.Channel
	if m.Pattern != "" {
		to.Event.Headers = event.Pairs{{Key: "pattern", Value: []byte(m.Pattern)}}
	}
}

// Settle implements [queue.Session]. A channel hears of no outcome.
func (s *session) Settle(context.Context, *queue.Message, queue.Verdict) error { return nil }

// Drain implements [queue.Drainer]: what the server has sent before it heard of
// this is in the buffer.
func (s *session) Drain(ctx context.Context) error {
	var errs []error
	switch {
	case s.src.cfg.Sharded:
		errs = append(errs, s.sub.SUnsubscribe(ctx))
	default:
		errs = append(errs, s.sub.Unsubscribe(ctx), s.sub.PUnsubscribe(ctx))
	}
	if err := errors.Join(append(errs, s.sub.Ping(ctx, drained))...); err != nil {
		return fmt.Errorf("unsubscribe: %w", err)
	}
	select {
	case <-s.ended:
		return s.why
	case <-ctx.Done():
		return fmt.Errorf("unsubscribe: %w", ctx.Err())
	}
}

// Lag implements [queue.Lagger]: what waits here. The server keeps nothing.
func (s *session) Lag(context.Context) (int64, error) { return int64(len(s.in)), nil }

// Complaint implements [queue.Complainer]: it tells of messages that were dropped
// in the last minute.
func (s *session) Complaint() string {
	if at := s.dropAt.Load(); at == 0 || time.Since(time.Unix(0, at)) > time.Minute {
		return ""
	}
	return fmt.Sprintf("slow consumer: %d messages were lost, for they came faster than the function took them and %d or %v waited already",
		s.src.lost.Load(), s.src.cfg.Pending, s.src.cfg.PendingBytes)
}

// Close implements [queue.Session].
func (s *session) Close(context.Context) error {
	s.stop()
	err := s.sub.Close()
	if errors.Is(err, redis.ErrClosed) {
		err = nil
	}
	s.wg.Wait()
	return errors.Join(err, s.client.Close())
}
