package bindingtest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/binding/data"
)

// tableWithin: what is done with a context that is within a transaction is part
// of it, whoever does it, and so are transactions that are begun with it.
func tableWithin(t *testing.T, db *data.Table) {
	name := made(t, db, "id INTEGER PRIMARY KEY")
	tx, err := db.Begin(t.Context())
	ok(t, err)
	ctx := tx.Within(t.Context())
	insert := func(ctx context.Context, id int) error {
		_, err := db.Insert(ctx, name, []string{"id"}, [][]any{{int64(id)}})
		return err
	}
	var all sync.WaitGroup
	for i := range 5 { // they take turns
		all.Go(func() {
			if err := insert(ctx, i); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	failed := errors.New("failed")
	within := func(end error) error {
		return db.Transact(ctx, func(part *data.Tx) error {
			_, err := part.Insert(ctx, name, []string{"id"}, [][]any{{int64(10)}})
			return errors.Join(err, end)
		})
	}
	if err := within(failed); !errors.Is(err, failed) {
		t.Errorf("a part that fails: %v", err)
	}
	ok(t, within(nil))
	want(t, within(nil), data.Conflict) // breaks the key, and only the part is lost
	ok(t, insert(ctx, 11))
	ok(t, tx.Commit())
	if err := insert(ctx, 12); !errors.Is(err, data.Conflict) {
		t.Errorf("after its end: %v", err)
	}
	if got := rows(t, db, "SELECT COUNT(*) FROM "+name); got[0][0] != int64(7) {
		t.Errorf("%v rows, want 7", got[0][0])
	}
	tx, err = db.Begin(t.Context())
	ok(t, err)
	ctx = tx.Within(t.Context())
	ok(t, insert(ctx, 13))
	ok(t, tx.Rollback())
	if got := rows(t, db, "SELECT COUNT(*) FROM "+name); got[0][0] != int64(7) {
		t.Errorf("%v rows after one was undone, want 7", got[0][0])
	}
}
