package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// expires is how long a request for messages stands.
const expires = 30 * time.Second

// request writes requests for messages.
type request struct {
	heartbeat time.Duration
	buf       []byte
}

func (r *request) of(batch int64) []byte {
	stands := max(expires, 3*r.heartbeat) // the server wants two heartbeats in it
	r.buf = fmt.Appendf(r.buf[:0], `{"batch":%d,"expires":%d,"idle_heartbeat":%d}`, batch, stands.Nanoseconds(), r.heartbeat.Nanoseconds())
	return r.buf
}

// room says whether it is worth asking for more.
func (s *session) room() bool {
	asked := s.asked.Load()
	free := s.prefetch - s.open.Load() - asked
	return free > 0 && (asked == 0 || free >= (s.prefetch+1)/2)
}

// ask asks for as many messages as there is room for.
func (s *session) ask() error {
	if s.sub == nil {
		inbox := s.conn.NewInbox()
		sub, err := s.conn.ChanSubscribe(inbox, s.in)
		if err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		s.sub = sub
		s.asked.Store(0)
	}
	if !s.room() {
		return nil
	}
	n := s.prefetch - s.open.Load() - s.asked.Load()
	if err := s.conn.PublishRequest(s.next, s.sub.Subject, s.request.of(n)); err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	if s.asked.Add(n) == n {
		s.heard = time.Now()
	}
	return nil
}

// hear takes what the server says of a request: that it stands still, that it
// is over with so many messages missing, or that there will be none.
func (s *session) hear(m *nats.Msg) error {
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch code {
	case "100":
		return nil
	case "503":
		return fmt.Errorf("consumer %q of stream %q is not there, or has no leader", s.consumer, s.stream)
	}
	missing, err := strconv.ParseInt(m.Header.Get("Nats-Pending-Messages"), 10, 64)
	if err == nil && missing >= 0 && missing <= s.asked.Load() {
		s.asked.Add(-missing)
		return nil
	}
	switch code {
	case "404", "408":
		s.asked.Store(0)
		return nil
	case "":
		return nil // nobody of JetStream says that
	}
	return fmt.Errorf("consumer %q of stream %q: %s %s", s.consumer, s.stream, code, text)
}

// cease lets nothing more come, and gives back what nobody received.
func (s *session) cease() {
	if s.sub == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), ceaseTime)
	defer cancel()
	if s.sub.Drain() == nil && s.conn.Sync(ctx) == nil {
		s.giveBack()
	}
	s.sub = nil
	s.asked.Store(0)
	for len(s.in) > 0 {
		<-s.in
	}
}

// ceaseTime bounds how long a stop waits for the server; what it then still
// sends is delivered again after the ack wait.
const ceaseTime = 2 * time.Second

func (s *session) giveBack() {
	for {
		select {
		case m := <-s.in:
			if m.Reply != "" {
				_ = m.Respond(again) // a failure ends the connection, which gives it back too
			}
		default:
			return
		}
	}
}

// Lag implements [queue.Lagger]: what the consumer has not delivered, and what
// it has and nobody has settled.
func (s *session) Lag(ctx context.Context) (int64, error) {
	r, err := s.inform(ctx)
	if err != nil {
		return 0, err
	}
	return int64(r.NumPending) + int64(r.NumAckPending), nil
}

// Numbering implements [queue.Numberer].
func (s *session) Numbering() (topic, source string) { return s.stream, s.made }

// Floor implements [queue.Floorer].
func (s *session) Floor(ctx context.Context) (uint64, error) {
	r, err := s.inform(ctx)
	if err != nil {
		return 0, err
	}
	return r.AckFloor.Stream, nil
}

// inform asks the server how the consumer is.
func (s *session) inform(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, s.src.cfg.ConnectTimeout.Std())
	defer cancel()
	m, err := s.conn.RequestWithContext(ctx, s.info, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for consumer %q: %w", s.consumer, err)
	}
	var r struct {
		jetstream.ConsumerInfo
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return nil, fmt.Errorf("ask for consumer %q: %w", s.consumer, err)
	}
	if r.Error != nil {
		return nil, errors.New(r.Error.Description)
	}
	return &r.ConsumerInfo, nil
}
