// Package exactly has what a function writes to a table, and that its events
// are done, in one transaction: the platform begins it, the function's calls of
// that table become part of it, and the position is stored in the same database
// before it commits. It knows no trigger, no database and no runtime.
package exactly

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/trigger"
)

// Sink is that of one trigger. It implements [trigger.Sink],
// [trigger.Checkpoints], [trigger.Outbox] and [trigger.Trimmer]. Its tables are
// made when they are first needed. Any goroutine may use it.
type Sink struct {
	table    *data.Table
	function string
	trigger  string
	of       dialect

	mu     sync.Mutex
	ready  bool
	shards map[shard]*claim
}

type shard struct {
	topic string
	n     int32
}

// claim is the right to note events of a shard: whoever claims it later has a
// higher epoch, and the lower one affects no row.
type claim struct {
	id    string
	lease uint32 // of the source, under which it was claimed
	epoch int64
	kept  int64 // a position that is stored; guarded by Sink.mu
}

// New makes the sink of a trigger of a function, which is named with its
// namespace. Kind is that of the table's binding.
func New(t *data.Table, kind, function, trigger string) *Sink {
	return &Sink{table: t, function: function, trigger: trigger, of: dialectOf(kind), shards: map[shard]*claim{}}
}

// id names a row by what it is of: keys of any length make one of the same.
func (s *Sink) id(parts ...string) string {
	return digest(append([]string{s.function, s.trigger}, parts...)...)
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:20])
}

// Do implements [trigger.Sink]. The position is stored last, so that the row is
// held for a moment only, and nobody waits for a processor that stands still in
// the function.
func (s *Sink) Do(ctx context.Context, ps []trigger.Place, f func(ctx context.Context) error) error {
	if err := s.open(ctx); err != nil {
		return trigger.Unstored(err)
	}
	if ps[0].Shard != trigger.Unordered && s.claimed(ps[0]) == nil {
		return trigger.ErrMoved
	}
	tx, err := s.table.Begin(ctx)
	if err != nil {
		return trigger.Unstored(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	if err := f(tx.Within(ctx)); err != nil {
		return s.undone(ctx, tx, ps, err)
	}
	if err := s.note(ctx, tx, ps); err != nil {
		_ = tx.Rollback()
		return s.judge(ctx, ps, err)
	}
	if err := tx.Commit(); err != nil {
		return s.judge(ctx, ps, err)
	}
	s.stored(ps)
	return nil
}

// undone says what it means that f failed: nothing, if its events were done
// before, and no failure of the event, if the database is away.
func (s *Sink) undone(ctx context.Context, tx *data.Tx, ps []trigger.Place, failed error) error {
	_, err := tx.QueryLimit(ctx, 1, "SELECT 1 FROM myelin_positions")
	_ = tx.Rollback()
	switch data.ReasonOf(err) {
	case data.Away, data.Timeout:
		return trigger.Unstored(err)
	}
	if err := s.before(ctx, ps); err != nil {
		return err
	}
	return failed
}

// judge says what an error means that is not the function's.
func (s *Sink) judge(ctx context.Context, ps []trigger.Place, err error) error {
	if errors.Is(err, trigger.ErrMoved) || errors.As(err, new(*trigger.Already)) {
		return err
	}
	switch data.ReasonOf(err) {
	case data.Misuse, data.Conflict, data.Denied, data.TooLarge, data.Unsupported: // of what the function did
		if was := s.before(ctx, ps); was != nil {
			return was
		}
		return fmt.Errorf("store what the event did: %w", err)
	}
	return trigger.Unstored(err)
}

// note stores that events are done, in the transaction of what they did.
func (s *Sink) note(ctx context.Context, tx *data.Tx, ps []trigger.Place) error {
	if ps[0].Shard == trigger.Unordered {
		return s.noteEach(ctx, tx, ps)
	}
	c := s.claimed(ps[0])
	if c == nil {
		return trigger.ErrMoved
	}
	n, err := tx.Exec(ctx, "UPDATE myelin_positions SET position = ?, changed = ? WHERE id = ? AND epoch = ? AND position <= ?",
		ps[len(ps)-1].Offset+1, now(), c.id, c.epoch, ps[0].Offset)
	if err != nil || n > 0 {
		return err
	}
	if err := s.look(ctx, tx, c, ps); err != nil {
		return err
	}
	return trigger.ErrMoved // the row is gone
}

// now is the time as the tables have it, for who looks at them.
func now() string { return time.Now().UTC().Format(time.RFC3339) }

// statements are a table, or a transaction.
type statements interface {
	Query(ctx context.Context, sql string, args ...any) (*data.Result, error)
}

// before says whether events were done before, or are another's; nil: neither,
// or it cannot be told.
func (s *Sink) before(ctx context.Context, ps []trigger.Place) error {
	var err error
	if ps[0].Shard == trigger.Unordered {
		err = s.lookEach(ctx, ps)
	} else if c := s.claimed(ps[0]); c == nil {
		return trigger.ErrMoved
	} else {
		err = s.look(ctx, s.table, c, ps)
	}
	if data.ReasonOf(err) != 0 {
		return trigger.Unstored(err)
	}
	return err
}

// look asks how far a shard is; nil says that none of the events is done, and
// that the claim holds.
func (s *Sink) look(ctx context.Context, q statements, c *claim, ps []trigger.Place) error {
	epoch, position, err := s.row(ctx, q, c.id)
	switch {
	case err != nil:
		return err
	case epoch != c.epoch:
		return trigger.ErrMoved
	case position <= ps[0].Offset:
		return nil
	}
	return below(position, ps)
}

// row reads the row of a shard; its epoch is 0 if there is none.
func (s *Sink) row(ctx context.Context, q statements, id string) (epoch, position int64, err error) {
	r, err := q.Query(ctx, "SELECT epoch, position FROM myelin_positions WHERE id = ?", id)
	if err != nil || len(r.Rows) == 0 {
		return 0, 0, err
	}
	epoch, _ = r.Rows[0][0].(int64)
	position, _ = r.Rows[0][1].(int64)
	return epoch, position, nil
}

// claimed returns the claim under which a place is this processor's; nil if it
// is not.
func (s *Sink) claimed(p trigger.Place) *claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.shards[shard{p.Topic, p.Shard}]
	if c == nil || c.lease != p.Epoch {
		return nil
	}
	return c
}

func (s *Sink) stored(ps []trigger.Place) {
	if c := s.claimed(ps[0]); c != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.kept = max(c.kept, ps[len(ps)-1].Offset+1)
	}
}
