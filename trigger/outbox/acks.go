package outbox

import (
	"context"
	"sync"
)

// acks are rows that are done, until the database knows it: it hears of all that
// have come while it was told of those before.
type acks struct {
	finish func(context.Context, []row) error
	lost   context.Context // done when it could not be told
	lose   context.CancelCauseFunc
	end    sync.WaitGroup

	mu    sync.Mutex
	more  sync.Cond
	rows  []row
	ended bool
}

// mostRows bounds how many are told of at once.
const mostRows = 500

func newAcks(finish func(context.Context, []row) error) *acks {
	a := &acks{finish: finish}
	a.more.L = &a.mu
	a.lost, a.lose = context.WithCancelCause(context.Background())
	a.end.Go(a.loop)
	return a
}

// add takes a row; an error says that those before it could not be told of.
func (a *acks) add(r row) error {
	if err := a.err(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rows = append(a.rows, r)
	a.more.Signal()
	return nil
}

func (a *acks) loop() {
	for rows := a.next(); len(rows) > 0; rows = a.next() {
		if err := a.finish(context.Background(), rows); err != nil {
			a.mu.Lock()
			a.rows = append(rows, a.rows...)
			a.mu.Unlock()
			a.lose(err)
			return
		}
	}
}

// next waits for rows; none once there will be no more.
func (a *acks) next() []row {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.rows) == 0 && !a.ended {
		a.more.Wait()
	}
	n := min(len(a.rows), mostRows)
	out := a.rows[:n:n]
	a.rows = a.rows[n:]
	return out
}

// err says why nothing is told any more; nil if all is well.
func (a *acks) err() error { return context.Cause(a.lost) }

// close tells of what is left. What it could not tell before it tries once more:
// these rows are done.
func (a *acks) close(ctx context.Context) error {
	a.mu.Lock()
	a.ended = true
	a.more.Signal()
	a.mu.Unlock()
	a.end.Wait()
	a.lose(nil)
	for rows := a.next(); len(rows) > 0; rows = a.next() {
		if err := a.finish(ctx, rows); err != nil {
			return err
		}
	}
	return nil
}
