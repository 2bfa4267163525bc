package sqs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger/amazon"
)

// entry is what becomes of one message.
type entry struct {
	ID                string `json:"Id"`
	ReceiptHandle     string
	VisibilityTimeout *int `json:",omitempty"`
}

// sender sends what becomes of messages, ten in a request; while a request is on
// its way, more come together for the next.
type sender struct {
	n      *session
	action string
	ctx    context.Context
	cancel context.CancelFunc
	ends   sync.WaitGroup

	mu     sync.Mutex
	line   []entry
	some   *sync.Cond
	closed bool
}

// newSender makes one whose requests are as many at once.
func newSender(n *session, action string, workers int) *sender {
	s := &sender{n: n, action: action}
	s.some = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for range workers {
		s.ends.Go(s.run)
	}
	return s
}

func (s *sender) add(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line = append(s.line, e)
	s.some.Signal()
}

// close sends what is left and waits for the requests.
func (s *sender) close() {
	s.mu.Lock()
	s.closed = true
	s.some.Broadcast()
	s.mu.Unlock()
	s.ends.Wait()
	s.cancel()
}

// take waits for entries; none come when the sender is closed and has no more.
func (s *sender) take() []entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.line) == 0 && !s.closed {
		s.some.Wait()
	}
	k := min(atOnce, len(s.line))
	es := make([]entry, k)
	copy(es, s.line)
	s.line = append(s.line[:0], s.line[k:]...)
	return es
}

func (s *sender) run() {
	for es := s.take(); len(es) > 0; es = s.take() {
		if err := s.send(es); err != nil && s.ctx.Err() == nil {
			s.n.fail(fmt.Errorf("settle messages: %w", err))
			s.cancel()
		}
	}
}

// sendTries is how often a request is made before the session counts as lost; the
// messages then come back.
const sendTries = 4

// send makes a request, and again for those of its messages that the service could
// not see to.
func (s *sender) send(es []entry) error {
	var err error
	for try := range sendTries {
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if try > 0 {
			s.pause(try)
		}
		if es, err = s.request(es, try > 0); err == nil || !again(err) {
			return err
		}
	}
	return err
}

// again reports whether an error is worth another try: not one that says that the
// request itself is wrong.
func again(err error) bool {
	var e *amazon.Error
	return !errors.As(err, &e) || amazon.Busy(err)
}

func (s *sender) pause(try int) {
	t := time.NewTimer(50 * time.Millisecond << try)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ctx.Done():
	}
}

// request returns the entries that are to be sent once more, and why.
func (s *sender) request(es []entry, retried bool) (left []entry, err error) {
	for i := range es {
		es[i].ID = strconv.Itoa(i)
	}
	in := struct {
		QueueURL string `json:"QueueUrl"`
		Entries  []entry
	}{s.n.url, es}
	var out struct {
		Failed []struct {
			ID            string `json:"Id"`
			Code, Message string
			SenderFault   bool
		}
	}
	if err := s.n.Call(s.ctx, s.action, 0, in, &out); err != nil {
		if handleGone(err) {
			s.gone(err, retried)
			return nil, nil
		}
		return es, err
	}
	for _, f := range out.Failed {
		i, e := strconv.Atoi(f.ID)
		failed := &amazon.Error{Status: 500, Code: f.Code, Message: f.Message}
		switch {
		case f.SenderFault || e != nil || i < 0 || i >= len(es) || handleGone(failed):
			s.gone(failed, retried)
		default:
			left, err = append(left, es[i]), failed
		}
	}
	return left, err
}

// handleGone reports whether an error is about one message, which the service has
// given to another meanwhile, or has no longer.
func handleGone(err error) bool {
	return amazon.Is(err, "ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight")
}

// gone tells of a message that was no longer this processor's to settle. If the
// request is made for another time, the one before has settled it, unheard.
func (s *sender) gone(err error, retried bool) {
	say := s.n.src.log.Debug
	if s.action == "DeleteMessageBatch" && !retried {
		say = s.n.src.log.Warn
	}
	say("settle message failed: it is not out to this processor any more, and may run again", "action", s.action, "error", err)
}
