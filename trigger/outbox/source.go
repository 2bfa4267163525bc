package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

// source opens sessions at one table.
type source struct {
	cfg     Config
	at      *link.Address
	log     *slog.Logger
	queries *queries
}

// row is what a row is known by while we have it.
type row struct {
	id       string
	attempts int64
}

// Connect implements [queue.Source].
func (s *source) Connect(ctx context.Context, _ queue.Want) (queue.Session, error) {
	db, err := s.at.Open(ctx)
	if err != nil {
		return nil, err
	}
	n := &session{src: s, db: db, mine: map[row]struct{}{}}
	if _, err := n.exec(ctx, s.queries.check()); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("table %s cannot be an outbox as it is: %w", s.cfg.Table, err)
	}
	n.ears = s.at.Hear(ctx, s.cfg.Listen)
	n.acks = newAcks(n.finish)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.ends.Go(n.keep)
	return n, nil
}

// session takes rows and settles them.
type session struct {
	src  *source
	db   *sql.DB
	ears *link.Ears
	acks *acks

	ctx    context.Context // of who keeps the rows
	cancel context.CancelFunc
	ends   sync.WaitGroup

	mu   sync.Mutex
	due  time.Time        // when a row that was given back may be taken again; zero: none was
	mine map[row]struct{} // taken, and not settled
}

var (
	_ queue.Session = (*session)(nil)
	_ queue.Lagger  = (*session)(nil)
)

// Receive implements [queue.Session].
func (n *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	ms = ms[:min(len(ms), n.src.cfg.PageSize)]
	for ctx.Err() == nil {
		if err := errors.Join(n.ears.Err(), n.acks.err()); err != nil {
			return 0, err
		}
		got, err := n.take(ctx, ms)
		if err != nil || got > 0 {
			return got, err
		}
		n.wait(ctx)
	}
	return 0, ctx.Err()
}

// wait waits until it is time to look again, or something is lost.
func (n *session) wait(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.acks.lost, cancel)()
	n.src.cfg.pace().Wait(ctx, n.soon(), n.ears.Changed())
}

// take takes what there is. It does not end in the middle when ctx does: what was
// taken would come again only after the visibility. Rows are ours before the
// commit, so that they can be given back if it is not known what became of it.
func (n *session) take(ctx context.Context, ms []*queue.Message) (got int, err error) {
	ctx, cancel := n.bounded(context.WithoutCancel(ctx))
	defer cancel()
	tx, err := n.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("take rows: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	if got, err = n.read(ctx, tx, ms); err != nil || got == 0 {
		return 0, err
	}
	n.mu.Lock()
	for _, m := range ms[:got] {
		n.mine[rowOf(m)] = struct{}{}
	}
	n.mu.Unlock()
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("take rows: %w", err)
	}
	return got, nil
}

// read fills messages with the rows that are taken.
func (n *session) read(ctx context.Context, tx *sql.Tx, ms []*queue.Message) (got int, err error) {
	q := n.src.queries.take(len(ms), n.src.cfg.Visibility.Std())
	rows, err := tx.QueryContext(ctx, q.String(), q.Args...)
	if err != nil {
		return 0, fmt.Errorf("take rows: %w", err)
	}
	defer rows.Close()
	r, err := link.NewReader(n.src.cfg.shape(), 2, rows)
	if err != nil {
		return 0, err
	}
	for rows.Next() {
		lead, ev, err := r.Read(rows)
		if err != nil {
			return 0, fmt.Errorf("read row: %w", err)
		}
		id, _ := lead[0].(string)
		attempts, _ := lead[1].(int64)
		m := ms[got]
		m.Ref, m.Delivered, m.Event = row{id, attempts}, int(attempts)-1, ev
		m.Event.ID, m.Event.Topic = []byte(id), n.src.cfg.Table
		got++
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("take rows: %w", err)
	}
	return got, nil
}

// keep tells the table of the rows that are worked on, in time.
func (n *session) keep() {
	tick := time.NewTicker(n.src.cfg.Visibility.Std() / 3)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		for rows := range slices.Chunk(n.unsettled(), mostRows) {
			if _, err := n.exec(n.ctx, n.src.queries.extend(rows, n.src.cfg.Visibility.Std())); err != nil && n.ctx.Err() == nil {
				n.src.log.Warn("tell table of rows that are worked on failed", "error", err)
			}
		}
	}
}

func (n *session) unsettled() []row {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.mine))
}

func (n *session) settled(r row) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.mine, r)
}

// soon is how long it takes until a row that was given back may be taken again;
// 0: it is not known that there is one.
func (n *session) soon() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.due.IsZero() {
		return 0
	}
	d := time.Until(n.due)
	if d <= 0 {
		n.due = time.Time{}
	}
	return max(d, time.Millisecond)
}

// Settle implements [queue.Session].
func (n *session) Settle(ctx context.Context, m *queue.Message, v queue.Verdict) error {
	r := rowOf(m)
	n.settled(r)
	switch v.Action {
	case queue.Requeue:
		if err := n.one(ctx, r, n.src.queries.requeue([]row{r}, v.Delay)); err != nil {
			return fmt.Errorf("give row back: %w", err)
		}
		n.mu.Lock()
		if at := time.Now().Add(v.Delay); n.due.IsZero() || at.Before(n.due) {
			n.due = at
		}
		n.mu.Unlock()
		return nil
	case queue.Reject:
		if err := n.one(ctx, r, n.src.queries.fail(r, v.Reason)); err != nil {
			return fmt.Errorf("mark row as failed: %w", err)
		}
		return nil
	}
	return n.acks.add(r)
}

// finish deletes or marks rows that are done.
func (n *session) finish(ctx context.Context, rows []row) error {
	got, err := n.exec(ctx, n.src.queries.finish(rows))
	if err != nil {
		return fmt.Errorf("finish rows: %w", err)
	}
	if got < int64(len(rows)) {
		n.src.log.Warn("rows were done after they had become another's: they may run twice", "rows", int64(len(rows))-got)
	}
	return nil
}

// Lag implements [queue.Lagger].
func (n *session) Lag(ctx context.Context) (count int64, err error) {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	q := n.src.queries.lag(mostLag)
	err = n.db.QueryRowContext(ctx, q.String(), q.Args...).Scan(&count)
	return count, err
}

// mostLag bounds what is counted.
const mostLag = 100_000

// Close implements [queue.Session]. What was not settled, because the session is
// lost, is given back, if that can be said; it was no attempt then.
func (n *session) Close(ctx context.Context) error {
	n.cancel()
	n.ends.Wait()
	n.ears.Close()
	err := n.acks.close(ctx)
	for rows := range slices.Chunk(n.unsettled(), mostRows) {
		if _, e := n.exec(ctx, n.src.queries.requeue(rows, 0)); e != nil {
			err = errors.Join(err, e)
			break
		}
	}
	return errors.Join(err, n.db.Close())
}

// one changes a row that should still be ours.
func (n *session) one(ctx context.Context, r row, q *link.Statement) error {
	got, err := n.exec(ctx, q)
	if err == nil && got == 0 {
		n.src.log.Warn("a row was settled after it had become another's: it may run twice", "id", r.id)
	}
	return err
}

func (n *session) exec(ctx context.Context, q *link.Statement) (int64, error) {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	res, err := n.db.ExecContext(ctx, q.String(), q.Args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (n *session) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, n.src.cfg.Timeout.Std())
}

func rowOf(m *queue.Message) row {
	r, _ := m.Ref.(row)
	return r
}
