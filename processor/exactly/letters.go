package exactly

import (
	"context"
	"fmt"

	"github.com/myelin-run/myelin/trigger/letter"
)

// Keep implements [trigger.Outbox]. One that is there already, from a time when
// its transaction was said to have failed and had not, is the same letter.
func (s *Sink) Keep(ctx context.Context, l *letter.Letter) error {
	text, err := letter.Encode(l)
	if err != nil {
		return err
	}
	id := s.id(l.ID)
	if _, err := s.table.Exec(ctx, "DELETE FROM myelin_letters WHERE id = ?", id); err != nil {
		return err
	}
	_, err = s.table.Insert(ctx, "myelin_letters", []string{"id", "outbox", "kept", "letter"}, [][]any{{id, s.id(), now(), string(text)}})
	return err
}

// keptAtOnce is how many letters are read at a time.
const keptAtOnce = 100

// Kept implements [trigger.Outbox].
func (s *Sink) Kept(ctx context.Context) ([]*letter.Letter, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	r, err := s.table.QueryLimit(ctx, keptAtOnce, "SELECT letter FROM myelin_letters WHERE outbox = ? ORDER BY kept", s.id())
	if err != nil {
		return nil, err
	}
	var out []*letter.Letter
	for _, row := range r.Rows {
		text, _ := row[0].(string)
		l, err := letter.Decode([]byte(text))
		if err != nil {
			return out, fmt.Errorf("read letter: %w", err)
		}
		out = append(out, l)
	}
	return out, nil
}

// Sent implements [trigger.Outbox].
func (s *Sink) Sent(ctx context.Context, l *letter.Letter) error {
	_, err := s.table.Exec(ctx, "DELETE FROM myelin_letters WHERE id = ?", s.id(l.ID))
	return err
}
