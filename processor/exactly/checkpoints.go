package exactly

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/trigger"
)

// none is the position of a shard of which nothing is done.
const none = -1

// tries is how often a row is looked for that another may just have made.
const tries = 5

// Load implements [trigger.Checkpoints]: it claims the shard and reads how far
// it is. A transaction that is about to commit is waited for.
func (s *Sink) Load(ctx context.Context, _ string, at trigger.Place) (next int64, ok bool, err error) {
	if err := s.open(ctx); err != nil {
		return 0, false, err
	}
	c := &claim{id: s.id(at.Topic, at.Source, strconv.Itoa(int(at.Shard))), lease: at.Epoch}
	for try := 1; ; try++ {
		err = s.table.Transact(ctx, func(tx *data.Tx) error { return s.take(ctx, tx, c, at) })
		if err == nil {
			break
		}
		if !errors.Is(err, data.Conflict) || try == tries {
			return 0, false, fmt.Errorf("claim shard %d of %s: %w", at.Shard, at.Topic, err)
		}
	}
	s.mu.Lock()
	s.shards[shard{at.Topic, at.Shard}] = c
	s.mu.Unlock()
	return c.kept, c.kept != none, nil
}

// take gives the row of a shard another epoch, or makes it.
func (s *Sink) take(ctx context.Context, tx *data.Tx, c *claim, at trigger.Place) error {
	n, err := tx.Exec(ctx, "UPDATE myelin_positions SET epoch = epoch + 1, changed = ? WHERE id = ?", now(), c.id)
	if err != nil {
		return err
	}
	if n == 0 {
		columns := []string{"id", "of_function", "of_trigger", "topic", "source", "shard", "epoch", "position", "changed"}
		row := []any{c.id, s.function, s.trigger, at.Topic, at.Source, int64(at.Shard), int64(1), int64(none), now()}
		if _, err := tx.Insert(ctx, "myelin_positions", columns, [][]any{row}); err != nil {
			return err
		}
	}
	c.epoch, c.kept, err = s.row(ctx, tx, c.id)
	return err
}

// Store implements [trigger.Checkpoints]: for events that were passed without
// being run.
func (s *Sink) Store(ctx context.Context, _ string, ps []trigger.Position) error {
	for _, p := range ps {
		if err := s.storeOne(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sink) storeOne(ctx context.Context, p trigger.Position) error {
	at := trigger.Place{Topic: p.Topic, Shard: p.Shard, Epoch: p.Epoch, Offset: p.Next - 1}
	c := s.claimed(at)
	if c == nil {
		return trigger.ErrMoved
	}
	s.mu.Lock()
	kept := c.kept
	s.mu.Unlock()
	if kept >= p.Next {
		return nil
	}
	n, err := s.table.Exec(ctx, "UPDATE myelin_positions SET position = ?, changed = ? WHERE id = ? AND epoch = ? AND position < ?", p.Next, now(), c.id, c.epoch, p.Next)
	if err == nil && n == 0 {
		var already *trigger.Already
		if err = s.look(ctx, s.table, c, []trigger.Place{at}); errors.As(err, &already) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("store position of shard %d of %s: %w", p.Shard, p.Topic, err)
	}
	s.stored([]trigger.Place{at})
	return nil
}
