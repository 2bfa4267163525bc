package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger/mqtt/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

// session is one connection with its subscriptions. Its reader fills the queue,
// and stops to read while that is full.
type session struct {
	src      *source
	conn     *link.Conn
	desk     desk
	prefetch int
	opened   time.Time
	subacks  chan link.Packet
	more     chan struct{} // something changed, for Receive
	room     chan struct{} // the queue has become shorter, for the reader

	mu         sync.Mutex
	queue      []arrival
	arrived    int64 // messages
	answered   int64 // pings
	subscribed bool
	draining   bool // no new messages are wanted
	left       bool // the broker sends no new ones
	empty      bool // it has none of this session, either
	asked      int64
	seen       int64 // what had arrived when it was asked
	told       bool  // about messages that nobody wants
}

// arrival is a message in the queue.
type arrival struct {
	link.Message
	tag uint64
}

var (
	_ queue.Session = (*session)(nil)
	_ queue.Bulk    = (*session)(nil)
	_ queue.Drainer = (*session)(nil)
	_ queue.Replier = (*session)(nil)
)

func newSession(s *source, c *link.Conn, prefetch int) *session {
	q := &session{src: s, conn: c, prefetch: prefetch, opened: time.Now(), subacks: make(chan link.Packet, 1), more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	q.desk.conn, q.desk.anyOrder, q.desk.recorded = c, s.cfg.Acks == AsDone, s.half
	return q
}

// subscribe asks for the topics, though the broker may have kept the session:
// one that was killed may have done so and have lost its topics, and Mosquitto
// (2.0.11, for one) forgets the shared ones with every connection. But 3.1.1 has
// topics of one's own that are asked for again bring again what is retained.
func (s *session) subscribe(ctx context.Context) error {
	cfg := &s.src.cfg
	if !s.src.subscribed || s.conn.Codec.Version() == 5 || cfg.Group != "" {
		if p := s.conn.Welcome.Props; p != nil && p.SharedSubAvailable != nil && *p.SharedSubAvailable == 0 && cfg.Group != "" {
			return fmt.Errorf("join group %q: the broker has no shared subscriptions", cfg.Group)
		}
		id := s.conn.Number()
		if err := s.conn.Send(func(w io.Writer) error { return s.conn.Codec.Subscribe(w, id, cfg.filters()) }); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		p, err := link.Await(ctx, s.conn, "the broker's answer to subscriptions", s.subacks)
		if err == nil {
			err = s.granted(&p)
		}
		if err != nil {
			return fmt.Errorf("subscribe: %w", s.src.means(err))
		}
		s.src.subscribed = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribed = true
	return nil
}

// granted reads what the broker says to each subscription.
func (s *session) granted(p *link.Packet) error {
	subs := s.src.cfg.Subscriptions
	if len(p.Codes) != len(subs) {
		return fmt.Errorf("%w: %d answers to %d subscriptions", link.ErrNotMQTT, len(p.Codes), len(subs))
	}
	for i, code := range p.Codes {
		switch {
		case code >= 0x80:
			return fmt.Errorf("topic %q is refused: %w", subs[i].Topic, p.Refused(code))
		case int(code) < subs[i].QoS:
			s.src.log.Warn("the broker delivers with less than what was asked for", "topic", subs[i].Topic, "asked", subs[i].QoS, "granted", code)
		}
	}
	return nil
}

// on takes a packet; it is called by the reader.
func (s *session) on(p *link.Packet) error {
	switch p.Kind {
	case link.Publish:
		return s.take(p)
	case link.Pubrel:
		s.src.whole(p.ID)
		return errors.Join(s.conn.Put(link.Pubcomp, p.ID), s.conn.Tell())
	case link.Suback:
		select {
		case s.subacks <- *p:
		default: // nobody asked
		}
	case link.Unsuback:
		s.change(func() { s.left = true })
	case link.Pingresp:
		s.change(func() { s.answered++ })
	}
	return nil
}

func (s *session) change(what func()) {
	s.mu.Lock()
	what()
	s.mu.Unlock()
	signal(s.more)
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// take puts a message into the queue, or ends it here.
func (s *session) take(p *link.Packet) error {
	m := &p.Message
	switch {
	case m.QoS == 2 && s.src.isHalf(m): // it was done, and the broker has not heard
		return errors.Join(s.conn.Put(link.Pubrec, m.ID), s.conn.Tell())
	case p.Skipped > 0 || int64(len(m.Body)) > s.src.cfg.MaxMessageSize.Bytes():
		s.src.log.Error("message dropped: it is larger than maxMessageSize", "topic", m.Topic, "bytes", max(p.Skipped, len(m.Body)))
		return s.drop(m)
	case !s.wanted(m.Topic):
		return s.drop(m)
	}
	if err := s.hold(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.draining && s.src.cfg.Group == "" && m.QoS > 0 { // stays with the broker's session
		s.mu.Unlock()
		return nil
	}
	s.arrived++
	s.queue = append(s.queue, arrival{*m, s.desk.open(m)})
	s.mu.Unlock()
	signal(s.more)
	return nil
}

// wanted tells topics that are subscribed to from those of an earlier
// configuration, which the broker's session still has.
func (s *session) wanted(topic string) bool {
	for i := range s.src.cfg.Subscriptions {
		if matches(s.src.cfg.Subscriptions[i].Topic, topic) {
			return true
		}
	}
	if !s.told {
		s.told = true
		s.src.log.Warn("messages dropped: the session has subscriptions of an earlier configuration", "topic", topic)
	}
	return false
}

// drop acks a message that is not run.
func (s *session) drop(m *link.Message) error {
	return errors.Join(s.desk.done(s.desk.open(m)), s.conn.Tell())
}

// hold waits until there is room in the queue.
func (s *session) hold() error {
	defer s.conn.Hold(false)
	for {
		s.mu.Lock()
		fits := len(s.queue) < s.prefetch || !s.subscribed || s.draining
		s.mu.Unlock()
		if fits {
			return nil
		}
		s.conn.Hold(true)
		select {
		case <-s.room:
		case <-s.conn.Ended():
			return s.conn.Err()
		}
	}
}

// Receive implements [queue.Session].
func (s *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	for {
		select {
		case <-s.conn.Ended():
			return 0, s.src.means(s.conn.Err())
		default:
		}
		if n := s.hand(ms); n > 0 {
			return n, nil
		}
		if s.drained() {
			return 0, io.EOF
		}
		select {
		case <-s.more:
		case <-s.conn.Ended():
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// hand hands out what has come.
func (s *session) hand(ms []*queue.Message) int {
	s.mu.Lock()
	n := min(len(ms), len(s.queue))
	for i := range n {
		a := &s.queue[i]
		fill(ms[i], &a.Message)
		ms[i].Tag = a.tag
	}
	rest := copy(s.queue, s.queue[n:])
	clear(s.queue[rest:])
	s.queue = s.queue[:rest]
	s.mu.Unlock()
	if n > 0 {
		signal(s.room)
	}
	return n
}

// Drain implements [queue.Drainer]. The member of a group leaves it, and has all
// that it was sent to the end: the others have the rest. A session of its own
// stays as it is, but for what the broker would not keep.
func (s *session) Drain(context.Context) error {
	cfg := &s.src.cfg
	var filters []string
	for _, sub := range cfg.Subscriptions {
		if cfg.Group != "" || sub.QoS == 0 || cfg.CleanSession {
			filters = append(filters, shared(cfg.Group, sub.Topic))
		}
	}
	s.change(func() { s.draining, s.left = true, len(filters) == 0 })
	signal(s.room)
	if len(filters) == 0 {
		return nil
	}
	s.src.subscribed = false
	id := s.conn.Number()
	return s.conn.Send(func(w io.Writer) error { return s.conn.Codec.Unsubscribe(w, id, filters) })
}

// drained reports whether nothing will come any more; the queue is empty. The
// member of a group has to ask: what it was sent, and had no room for, is still
// at the broker.
func (s *session) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining || !s.left || len(s.queue) > 0 {
		return false
	}
	if s.src.cfg.Group == "" {
		return true
	}
	if !s.desk.empty() {
		return false
	}
	if s.asked > 0 && s.answered >= s.asked && s.seen == s.arrived {
		s.empty = true
		return true
	}
	if s.asked == 0 || s.answered >= s.asked {
		s.seen, s.asked = s.arrived, s.conn.Ping()
	}
	return false
}

// Settle implements [queue.Session].
func (s *session) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	if v.Action == queue.Requeue { // not acked: the broker's session has it
		if m.Tag == 0 {
			s.src.log.Error("message lost: it was not finished, and has QoS 0", "topic", m.Event.Topic)
		}
		return nil
	}
	return s.acked(s.desk.done(m.Tag))
}

// AckAll implements [queue.Bulk].
func (s *session) AckAll(_ context.Context, ms []*queue.Message) error {
	var err error
	for _, m := range ms {
		err = errors.Join(err, s.desk.done(m.Tag))
	}
	return s.acked(err)
}

func (s *session) acked(err error) error {
	if err == nil {
		err = s.conn.Tell()
	}
	if err != nil {
		return fmt.Errorf("ack message: %w", s.src.means(s.conn.Cause(err)))
	}
	signal(s.more)
	return nil
}

// Close implements [queue.Session]. A member that has left its group ends its
// session, unless the broker may still have messages for it: those wait for
// whoever comes under its name.
func (s *session) Close(ctx context.Context) error {
	s.mu.Lock()
	over := s.empty && len(s.queue) == 0 && s.desk.empty()
	s.mu.Unlock()
	select {
	case <-s.conn.Ended():
		over = false
		s.src.ended(s.conn, time.Since(s.opened))
	default:
	}
	if err := s.conn.Bye(over); err != nil {
		return fmt.Errorf("say goodbye to broker: %w", err)
	}
	if over && s.conn.Codec.Version() == 4 {
		return s.src.forget(ctx)
	}
	return nil
}

// abandon ends a session that could not be opened.
func (s *session) abandon() { _ = s.conn.Bye(false) }
