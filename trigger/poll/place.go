package poll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

const (
	placeTime = 10 * time.Second // bounds each load and save
	saveTries = 10               // with each the epoch is looked at anew
)

// Claim implements [stream.Keeper].
func (s *session) Claim(ctx context.Context, l stream.Lease, seek bool) error {
	ctx, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	var written error
	for range saveTries {
		p, rev, err := s.in.Load(ctx)
		if err != nil {
			return fmt.Errorf("read place: %w", err)
		}
		if p.Epoch > l.Epoch {
			return &stream.Fenced{Seen: p.Epoch}
		}
		if rev == "" || seek {
			if p.Cursor, err = s.begin(ctx); err != nil {
				return err
			}
		}
		p.Epoch = l.Epoch
		if rev, written = s.in.Save(ctx, p, rev); written == nil {
			s.take(l, p, rev)
			return nil
		}
		if !errors.Is(written, ErrWritten) {
			break
		}
	}
	return fmt.Errorf("write place: %w", written)
}

// take begins to read a shard.
func (s *session) take(l stream.Lease, p Place, rev string) {
	s.host.Assigned(l)
	s.mu.Lock()
	s.read, s.paused = &reading{lease: l, after: p.Cursor, next: p.Next, revision: rev, marks: []mark{{p.Next, p.Cursor}}}, false
	s.mu.Unlock()
	s.rouse()
}

// Drop implements [stream.Keeper].
func (s *session) Drop(l stream.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read != nil && s.read.lease == l {
		s.read = nil
	}
}

// Commit implements [stream.Session].
func (s *session) Commit(ctx context.Context, ps []trigger.Position) error {
	ctx, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	for _, p := range ps {
		if err := s.commit(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// commit keeps one place, unless the source was claimed under a greater epoch:
// then it is lost.
func (s *session) commit(ctx context.Context, p trigger.Position) error {
	r, to, rev, ok := s.reached(p)
	if !ok {
		return nil
	}
	var err error
	for range saveTries {
		if rev, err = s.in.Save(ctx, to, rev); err == nil {
			s.saved(r, p.Next, rev)
			return nil
		}
		if !errors.Is(err, ErrWritten) {
			return fmt.Errorf("write place: %w", err)
		}
		var is Place
		if is, rev, err = s.in.Load(ctx); err != nil {
			return fmt.Errorf("read place: %w", err)
		}
		if is.Epoch > p.Epoch {
			s.host.Lost(r.lease)
			return nil
		}
	}
	return fmt.Errorf("write place: %w", ErrWritten)
}

// reached is the place that a position stands for.
func (s *session) reached(p trigger.Position) (r *reading, to Place, rev string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r = s.read
	if r == nil || r.lease.Epoch != p.Epoch {
		return nil, to, "", false
	}
	to = Place{Epoch: p.Epoch, Next: p.Next}
	for _, m := range r.marks {
		if m.next > p.Next {
			break
		}
		to.Cursor, ok = m.cursor, m.next == p.Next
	}
	return r, to, r.revision, ok
}

// saved forgets the marks before one that is kept.
func (s *session) saved(r *reading, next int64, rev string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.revision = rev
	i := 0
	for i < len(r.marks) && r.marks[i].next < next {
		i++
	}
	r.marks = append(r.marks[:0], r.marks[i:]...)
}
