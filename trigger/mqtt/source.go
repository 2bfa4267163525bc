package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/trigger/delivery"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

// source opens the session of one client identifier, again and again. What it
// publishes goes over connections of its own: who waits for a confirmation must
// not wait behind messages for which there is no room.
type source struct {
	cfg     Config
	log     *slog.Logger
	id      string
	dialer  *link.Dialer
	replies *link.Publisher

	// Of Connect and the session that is open, of which there is one at a time.
	subscribed bool // the broker's session has the subscriptions
	begun      bool // there was a session before
	lost       ending
	taken      int          // how often the session was taken over in a row
	closes     atomic.Int32 // how often the broker closed the connection soon, in a row

	mu      sync.Mutex
	halfway map[uint16]uint64 // sums
	topics  []*link.Publisher
}

// ending is how a session ended.
type ending struct {
	err    error
	lasted time.Duration
	at     time.Time
}

var (
	_ queue.Source = (*source)(nil)
	_ queue.Topics = (*source)(nil)
	_ io.Closer    = (*source)(nil)
)

// Connect implements [queue.Source].
func (s *source) Connect(ctx context.Context, w queue.Want) (queue.Session, error) {
	if w.Seek {
		s.log.Warn("an MQTT broker keeps nothing that was read: it is read on where the session is")
	}
	if err := s.yield(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout.Std())
	defer cancel()
	h := s.dialer.Hello(s.id)
	h.Clean, h.Receive = s.cfg.CleanSession, uint16(min(w.Prefetch, math.MaxUint16))
	if !s.cfg.CleanSession {
		h.Expiry = uint32(s.cfg.SessionExpiry.Std() / time.Second)
	}
	c, err := s.dialer.Dial(ctx, h)
	if err != nil {
		s.closes.Store(0)
		return nil, err
	}
	q := newSession(s, c, w.Prefetch)
	s.begin(c)
	c.Run(q.on)
	if err := q.subscribe(ctx); err != nil {
		q.abandon()
		if errors.Is(err, errTaken) { // as soon as that
			s.lost = ending{err: err, at: time.Now()}
		}
		return nil, err
	}
	s.begun = true
	return q, nil
}

// yield waits, after another client took the session over: to take it back at
// once would take it from a newer processor, and never end between two that do.
func (s *source) yield(ctx context.Context) error {
	last := s.lost
	s.lost = ending{}
	if !errors.Is(last.err, errTaken) {
		return nil
	}
	pause := s.cfg.TakeoverPause.Std() << min(s.taken, 4)
	if s.taken++; last.lasted > 20*s.cfg.TakeoverPause.Std() {
		s.taken = 0
	}
	s.log.Warn("another client has taken the session over; leaving it to that client for a while", "clientID", s.id, "pause", pause)
	if !delivery.Sleep(ctx, pause-time.Since(last.at)) {
		return ctx.Err()
	}
	return nil
}

// begin notes what the broker has kept.
func (s *source) begin(c *link.Conn) {
	if c.Welcome.Present {
		return
	}
	if s.begun && !s.cfg.CleanSession {
		s.log.Warn("the broker has not kept the session; messages that came meanwhile may be lost", "clientID", s.id)
	}
	s.subscribed = false
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.halfway)
}

// publisher makes one, with connections of its own.
func (s *source) publisher() *link.Publisher {
	return &link.Publisher{
		Dial: func(ctx context.Context) (*link.Conn, error) {
			return s.dialer.Dial(ctx, s.dialer.Hello(link.Unnamed(s.id)))
		},
		Connects: s.cfg.ConnectTimeout.Std(), Patience: s.cfg.Timeout.Std(), Means: s.means,
	}
}

// means says what the end of a connection means.
func (s *source) means(err error) error {
	var no *link.Refusal
	switch {
	case errors.As(err, &no) && no.Code == link.TakenOver:
		return s.takenOver(err)
	case !errors.Is(err, io.EOF): // which means something else to the engine
		return err
	case s.closes.Load() >= suspicious-1:
		return s.takenOver(errors.New("the broker closed the connection again and again"))
	}
	return errors.New("the broker closed the connection")
}

func (s *source) takenOver(err error) error {
	return fmt.Errorf("%w as %q: %w; replicas need a group, and other clients a name of their own", errTaken, s.id, err)
}

// ended notes how the connection of a session ended. Not all brokers say that
// another client took the session over; one that lets in and closes soon after,
// again and again, means that.
func (s *source) ended(c *link.Conn, lasted time.Duration) {
	s.lost = ending{err: s.means(c.Err()), lasted: lasted, at: time.Now()}
	if errors.Is(c.Err(), io.EOF) && lasted < s.cfg.TakeoverPause.Std() && !errors.Is(s.lost.err, errTaken) {
		s.closes.Add(1)
		return
	}
	s.closes.Store(0)
}

// suspicious is how many connections in a row a broker must have closed: more
// than a network that is cut now and then does.
const suspicious = 6

var errTaken = errors.New("another client has connected")

// forget ends the session at a broker of 3.1.1, which has no goodbye for good.
func (s *source) forget(ctx context.Context) error {
	c, err := s.dialer.With(ctx, link.V3{}, s.dialer.Hello(s.id))
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	c.Run(func(*link.Packet) error { return nil })
	return c.Bye(false)
}

// half notes that a message of QoS 2 is done, and not forgotten by the broker:
// if it sends it again, it is not run again.
func (s *source) half(id uint16, sum uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halfway[id] = sum
}

// isHalf knows such a message by more than its id: a broker that was killed, or
// whose session another client had meanwhile, gives the id to another message.
func (s *source) isHalf(m *link.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum, ok := s.halfway[m.ID]
	return ok && m.Again && sum == m.Sum()
}

func (s *source) whole(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.halfway, id)
}

// Close ends what was published over.
func (s *source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, p := range append(s.topics, s.replies) {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
