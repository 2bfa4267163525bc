package imap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/myelin-run/myelin/trigger/imap/wire"
	"github.com/myelin-run/myelin/trigger/queue"
)

// source opens sessions of one mailbox.
type source struct {
	cfg   Config
	log   *slog.Logger
	to    server
	lease *lease // nil: it reads without asking

	mu       sync.Mutex
	validity uint32 // of the mailbox, when it was last open
}

var (
	_ queue.Source  = (*source)(nil)
	_ queue.Watched = (*source)(nil)
	_ io.Closer     = (*source)(nil)
)

// Connect implements [queue.Source]. Also a processor whose turn it is not has to be
// able to read the mailbox.
func (s *source) Connect(ctx context.Context, w queue.Want) (queue.Session, error) {
	if w.Seek {
		s.log.Warn("a mailbox is not read again: what is done in it stays done")
	}
	if s.lease != nil {
		s.lease.begin()
	}
	conn, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	return newSession(s, conn), nil
}

// Close implements [io.Closer].
func (s *source) Close() error {
	if s.lease != nil {
		s.lease.end()
	}
	return nil
}

// open connects and selects the mailbox.
func (s *source) open(ctx context.Context) (*wire.Conn, error) {
	o, err := s.to.options()
	if err != nil {
		return nil, err
	}
	c, err := wire.Dial(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", o.Address, err)
	}
	if err := s.enter(ctx, c); err != nil {
		c.Discard()
		return nil, err
	}
	return c, nil
}

// enter sees to the mailboxes that are needed.
func (s *source) enter(ctx context.Context, c *wire.Conn) error {
	if (s.cfg.MoveTo != "" || s.cfg.FailedTo != "") && !c.Can("MOVE") {
		return errors.New("the server cannot move messages (MOVE), which moveTo and failedTo need")
	}
	for _, name := range []string{s.cfg.MoveTo, s.cfg.FailedTo} {
		if name == "" {
			continue
		}
		if err := c.Ensure(ctx, name); err != nil {
			return err
		}
	}
	v, err := c.Select(ctx, s.cfg.Mailbox)
	if err != nil {
		return err
	}
	s.mu.Lock()
	before := s.validity
	s.validity = v
	s.mu.Unlock()
	if before != 0 && before != v {
		s.log.Warn("the server has numbered the mailbox anew: what was taken and not marked comes again, under other ids", "mailbox", s.cfg.Mailbox, "uidvalidity", v, "before", before)
	}
	return nil
}

// valid is the UIDVALIDITY of the mailbox that is open.
func (s *source) valid() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.validity
}

// criteria are what the messages fulfil that are not done.
func (s *source) criteria() string {
	if s.cfg.After == Seen {
		return "UNSEEN UNDELETED"
	}
	return "UNDELETED"
}
