package exactly

import (
	"context"
	"errors"
	"sync"

	"github.com/myelin-run/myelin/binding/data"
)

// NewState keeps a function's state in a table. In a transaction of [Sink.Do] on
// the same table it is stored with the position; else by itself.
func NewState(t *data.Table, kind, function string) data.StateStore {
	return &tableState{table: t, function: function, of: dialectOf(kind)}
}

type tableState struct {
	table    *data.Table
	function string
	of       dialect

	mu    sync.Mutex
	ready bool
}

// open sees to it that the table is there, outside of any transaction. A sink on
// the same database has made it before the first event.
func (s *tableState) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready {
		return nil
	}
	err := prepare(context.Background(), s.table, probeState, createState(s.of))
	s.ready = err == nil
	return err
}

func (s *tableState) id(key string) string { return digest(s.function, key) }

// Get implements [data.StateStore].
func (s *tableState) Get(ctx context.Context, key string) ([]byte, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	r, err := s.table.Query(ctx, "SELECT value FROM myelin_state WHERE id = ?", s.id(key))
	if err != nil {
		return nil, err
	}
	if len(r.Rows) == 0 {
		return nil, data.Errorf(data.NotFound, "nothing is remembered under %q", key)
	}
	switch v := r.Rows[0][0].(type) {
	case []byte:
		return v, nil
	case string:
		return []byte(v), nil
	}
	return nil, nil
}

// Put implements [data.StateStore].
func (s *tableState) Put(ctx context.Context, key string, value []byte) error {
	if err := s.open(); err != nil {
		return err
	}
	for try := 1; ; try++ {
		n, err := s.table.Exec(ctx, "UPDATE myelin_state SET value = ?, version = version + 1 WHERE id = ?", value, s.id(key))
		if err != nil || n > 0 {
			return err
		}
		row := []any{s.id(key), s.function, key, int64(1), value}
		_, err = s.table.Insert(ctx, "myelin_state", []string{"id", "of_function", "name", "version", "value"}, [][]any{row})
		if !errors.Is(err, data.Conflict) || try == tries {
			return err
		}
	}
}

// Delete implements [data.StateStore].
func (s *tableState) Delete(ctx context.Context, key string) error {
	if err := s.open(); err != nil {
		return err
	}
	_, err := s.table.Exec(ctx, "DELETE FROM myelin_state WHERE id = ?", s.id(key))
	return err
}
