package exactly

import (
	"context"
	"errors"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/trigger"
)

// noteEach notes events that are done in any order, each by its number: a
// second time breaks the key. What was trimmed has no note any more, but lies
// below the floor, which is looked at after the notes are made: who trims
// changes both in one step.
func (s *Sink) noteEach(ctx context.Context, tx *data.Tx, ps []trigger.Place) error {
	rows := make([][]any, len(ps))
	for i, p := range ps {
		rows[i] = []any{s.id(p.Topic, p.Source), p.Offset}
	}
	if _, err := tx.Insert(ctx, "myelin_done", []string{"id", "number"}, rows); err != nil {
		return err
	}
	r, err := tx.Query(ctx, "SELECT position FROM myelin_positions WHERE id = ?"+s.of.latest, s.floor(ps[0]))
	if err != nil || len(r.Rows) == 0 {
		return err
	}
	position, _ := r.Rows[0][0].(int64)
	return below(position, ps)
}

// floor is the id of the row that says below which number all is done.
func (s *Sink) floor(p trigger.Place) string { return s.id(p.Topic, p.Source, "floor") }

// below says which events lie below a position; nil: none.
func below(position int64, ps []trigger.Place) error {
	done, any := make([]bool, len(ps)), false
	for i, p := range ps {
		done[i] = p.Offset < position
		any = any || done[i]
	}
	if !any {
		return nil
	}
	return &trigger.Already{Done: done}
}

// lookEach says which events were done before; nil: none.
func (s *Sink) lookEach(ctx context.Context, ps []trigger.Place) error {
	args := []any{s.id(ps[0].Topic, ps[0].Source)}
	for _, p := range ps {
		args = append(args, p.Offset)
	}
	marks := strings.TrimSuffix(strings.Repeat("?,", len(ps)), ",")
	r, err := s.table.Query(ctx, "SELECT number FROM myelin_done WHERE id = ? AND number IN ("+marks+")", args...)
	if err != nil {
		return err
	}
	if len(r.Rows) == 0 {
		_, position, err := s.row(ctx, s.table, s.floor(ps[0]))
		if err != nil {
			return err
		}
		return below(position, ps)
	}
	was := map[int64]bool{}
	for _, row := range r.Rows {
		n, _ := row[0].(int64)
		was[n] = true
	}
	done := make([]bool, len(ps))
	for i, p := range ps {
		done[i] = was[p.Offset]
	}
	return &trigger.Already{Done: done}
}

// Trim implements [trigger.Trimmer].
func (s *Sink) Trim(ctx context.Context, upTo trigger.Place) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	err := s.table.Transact(ctx, func(tx *data.Tx) error { return s.trim(ctx, tx, upTo) })
	if errors.Is(err, data.Conflict) { // it met another: there will be a next time
		return nil
	}
	return err
}

func (s *Sink) trim(ctx context.Context, tx *data.Tx, upTo trigger.Place) error {
	id := s.floor(upTo)
	epoch, position, err := s.row(ctx, tx, id)
	switch {
	case err != nil || position > upTo.Offset:
		return err
	case epoch == 0:
		c := &claim{id: id}
		if err := s.take(ctx, tx, c, upTo); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, "UPDATE myelin_positions SET position = ?, changed = ? WHERE id = ? AND position < ?", upTo.Offset+1, now(), id, upTo.Offset+1); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "DELETE FROM myelin_done WHERE id = ? AND number <= ?", s.id(upTo.Topic, upTo.Source), upTo.Offset)
	return err
}
