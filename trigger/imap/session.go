package imap

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/myelin-run/myelin/trigger/imap/wire"
	"github.com/myelin-run/myelin/trigger/queue"
)

// session is a mailbox that is read, or waited for. One goroutine, the pump, has
// the connection; the others tell it what they want.
type session struct {
	src     *source
	out     chan *letter  // to Receive
	wake    chan struct{} // the pump has to look at what is wanted
	closing chan struct{}
	done    chan struct{} // closed when the pump has ended
	err     error         // why; read after done
	hurry   context.CancelFunc

	mu       sync.Mutex
	verdicts []verdict // that the server has not heard
	open     int       // messages that were handed out, and whose verdict has not come
	waiting  int       // messages that were found and not fetched
	tooLarge int       // of those that are left alone
}

// letter is a message that was fetched.
type letter struct {
	uid  uint32
	text []byte
	wire.About
}

// verdict is what becomes of a message.
type verdict struct {
	uid    uint32
	action queue.Action
}

var (
	_ queue.Session    = (*session)(nil)
	_ queue.Lagger     = (*session)(nil)
	_ queue.Complainer = (*session)(nil)
)

func newSession(src *source, c *wire.Conn) *session {
	ctx, hurry := context.WithCancel(context.Background())
	s := &session{src: src, out: make(chan *letter), wake: make(chan struct{}, 1), closing: make(chan struct{}), done: make(chan struct{}), hurry: hurry}
	go func() {
		defer close(s.done)
		s.err = (&pump{session: s, conn: c}).run(ctx)
	}()
	return s
}

// Receive implements [queue.Session].
func (s *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	select {
	case l := <-s.out:
		s.src.fill(ms[0], l)
		return 1, nil
	case <-s.done:
		return 0, s.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Settle implements [queue.Session]: the server is told soon.
func (s *session) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	select {
	case <-s.done:
		return s.err
	default:
	}
	s.mu.Lock()
	s.verdicts = append(s.verdicts, verdict{uint32(m.Tag), v.Action}) //nolint:gosec // fill put it there
	s.open--
	s.mu.Unlock()
	s.rouse()
	return nil
}

func (s *session) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Lag implements [queue.Lagger].
func (s *session) Lag(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.waiting), nil
}

// Complaint implements [queue.Complainer].
func (s *session) Complaint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tooLarge == 0 {
		return ""
	}
	return fmt.Sprintf("messages left in the mailbox, as they are larger than maxMessageSize: %d", s.tooLarge)
}

// Close implements [queue.Session].
func (s *session) Close(ctx context.Context) error {
	close(s.closing)
	s.rouse()
	defer s.hurry()
	select {
	case <-s.done:
	case <-ctx.Done():
		s.hurry()
		<-s.done
	}
	if errors.Is(s.err, errClosed) {
		return nil
	}
	return s.err
}
