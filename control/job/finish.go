package job

import (
	"context"
	"errors"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/store"
)

// saveTime bounds a commit.
const saveTime = 10 * time.Second

// finish waits for what runs, within the grace, and stores what became of it. If
// the job is another's by now it counts what ran in vain; why is why the runner
// ends.
func (r *runner) finish(ctx context.Context, why error) error {
	ctx = context.WithoutCancel(ctx)
	late := time.NewTimer(r.o.Grace)
	defer late.Stop()
	if errors.Is(why, store.ErrNotFound) {
		r.end() // nobody wants to know
	}
	for r.deck.Running() > 0 || r.saving {
		select {
		case s := <-r.done:
			r.settle(s)
		case s := <-r.saved:
			why = errors.Join(why, r.stored(ctx, s))
		case <-late.C:
			r.end()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, saveTime)
	defer cancel()
	for why == nil && r.deck.Dirty() {
		changes := r.deck.Changes(maxChanges)
		if why = r.lease.Save(ctx, changes, r.status(changes)); why == nil {
			r.deck.Saved(changes)
		}
	}
	if errors.Is(why, catalog.ErrJobLost) {
		return errors.Join(why, r.lease.NoteDuplicates(ctx, r.deck.Unsaved()))
	}
	return why
}
