package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

// source opens sessions at one database.
type source struct {
	cfg      Config
	at       *link.Address
	settings trigger.Settings
}

var _ poll.Source = (*source)(nil)

// Check implements [poll.Source].
func (s *source) Check(at trigger.Start) error { return poll.NoOffset(at) }

// Connect implements [poll.Source].
func (s *source) Connect(ctx context.Context) (poll.Session, error) {
	db, err := s.at.Open(ctx)
	if err != nil {
		return nil, err
	}
	n := &session{src: s, db: db, queries: newQueries(s.at.Dialect, &s.cfg), settle: horizon{settle: s.cfg.Settle.Std()}, Ears: s.at.Hear(ctx, s.cfg.Listen)}
	n.places = newPlaces(s, db)
	if err := n.check(ctx); err != nil {
		return nil, errors.Join(err, n.Close(ctx))
	}
	return n, nil
}

// check sees whether the table has what is asked of it.
func (n *session) check(ctx context.Context) error {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	q := n.queries.page(nil, nil, "0")
	rows, err := n.db.QueryContext(ctx, q.String())
	if err != nil {
		return fmt.Errorf("read rows: %w", err)
	}
	_, err = link.NewReader(n.src.cfg.shape(), n.queries.lead(), rows)
	return errors.Join(err, rows.Err(), rows.Close())
}

// session reads a table.
type session struct {
	*places
	*link.Ears // Changed implements [poll.Changer]
	src        *source
	db         *sql.DB
	queries    *queries
	settle     horizon
	looked     time.Time // for rows without a watermark

	mu        sync.Mutex
	complaint string
}

var (
	_ poll.Session    = (*session)(nil)
	_ poll.Changer    = (*session)(nil)
	_ poll.Lagger     = (*session)(nil)
	_ poll.Complainer = (*session)(nil)
)

// Begin implements [poll.Session].
func (n *session) Begin(ctx context.Context, at trigger.Start) (string, error) {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	switch at.Where {
	case trigger.Latest:
		return n.last(ctx)
	case trigger.AtTime:
		if len(n.queries.order) == 1 { // what is read is behind it
			at.Time = at.Time.Add(-time.Microsecond)
		}
		if n.src.at.Name == link.PostgreSQL.Name {
			return cursorOf(at.Time.UTC().Format("2006-01-02 15:04:05.999999999Z07:00"))
		}
		return cursorOf(at.Time)
	}
	return "", nil
}

// last is the cursor of the last row; "" if there is none.
func (n *session) last(ctx context.Context) (string, error) {
	q := n.queries.last()
	values := make([]any, len(n.queries.order))
	into := make([]any, len(values))
	for i := range values {
		into[i] = &values[i]
	}
	err := n.db.QueryRowContext(ctx, q.String(), q.Args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find last row: %w", err)
	}
	return cursorOf(values...)
}

// Poll implements [poll.Session].
func (n *session) Poll(ctx context.Context, after string, limit int) (page poll.Page, err error) {
	if err := n.Err(); err != nil {
		return page, err
	}
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	if err := n.lookForNulls(ctx); err != nil {
		return page, err
	}
	upTo := ""
	if n.settle.settle > 0 {
		ok := false
		if upTo, ok, page.Again, err = n.reach(ctx); err != nil || !ok {
			return page, err
		}
	}
	page.Items, err = n.read(ctx, after, upTo, limit)
	page.More = len(page.Items) == limit
	return page, err
}

// reach is up to which row may be read.
func (n *session) reach(ctx context.Context) (upTo string, ok bool, next time.Duration, err error) {
	now := time.Now() // what is found is at least as old
	last, err := n.last(ctx)
	if err != nil || last == "" {
		return "", false, 0, err
	}
	n.settle.saw(now, last)
	upTo, ok, next = n.settle.reach(time.Now())
	return upTo, ok, next, nil
}

// read reads a page of rows. Where there is no key, it looks at one more row than
// it returns, to find out whether a watermark is there twice.
func (n *session) read(ctx context.Context, after, upTo string, limit int) ([]poll.Item, error) {
	from, err := valuesOf(after, len(n.queries.order))
	if err != nil {
		return nil, err
	}
	to, err := valuesOf(upTo, len(n.queries.order))
	if err != nil {
		return nil, err
	}
	q := n.queries.page(from, to, strconv.Itoa(limit+1))
	rows, err := n.db.QueryContext(ctx, q.String(), q.Args...)
	if err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	defer rows.Close()
	r, err := link.NewReader(n.src.cfg.shape(), n.queries.lead(), rows)
	if err != nil {
		return nil, err
	}
	var items []poll.Item
	for rows.Next() {
		it, err := n.item(r, rows)
		if err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
		if len(items) > 0 && items[len(items)-1].Cursor == it.Cursor {
			return nil, fmt.Errorf("two rows have the watermark %s: name a key that tells them apart", it.Cursor)
		}
		items = append(items, it)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	return items[:min(limit, len(items))], nil
}

// item makes an item of the row that rows stands at.
func (n *session) item(r *link.Reader, rows *sql.Rows) (it poll.Item, err error) {
	lead, ev, err := r.Read(rows)
	if err != nil {
		return it, err
	}
	if it.Cursor, err = cursorOf(lead[:len(lead)-1]...); err != nil {
		return it, err
	}
	ev.ID, ev.Time = []byte(strings.Trim(it.Cursor, "[]")), time.Now()
	if t, ok := lead[len(lead)-1].(time.Time); ok {
		ev.Time = t
	}
	it.Event = ev
	return it, nil
}

const (
	nullsEvery = 30 * time.Second
	mostNulls  = 1000
	mostLag    = 100_000
)

// lookForNulls sees, now and then, whether there are rows that no watermark finds.
func (n *session) lookForNulls(ctx context.Context) error {
	how := n.src.cfg.Nulls
	if how == Ignore || time.Since(n.looked) < nullsEvery {
		return nil
	}
	q, count := n.queries.nulls(strconv.Itoa(mostNulls)), 0
	if err := n.db.QueryRowContext(ctx, q.String()).Scan(&count); err != nil {
		return fmt.Errorf("look for rows without a watermark: %w", err)
	}
	what := ""
	if count > 0 {
		what = fmt.Sprintf("%d rows%s have no %s, and are not read", count, map[bool]string{true: " or more"}[count == mostNulls], n.columns())
	}
	if count > 0 && how == Fail {
		return errors.New(what)
	}
	n.mu.Lock()
	if what != n.complaint && what != "" {
		n.src.settings.Log.Warn("rows are left out", "reason", what)
	}
	n.complaint = what
	n.mu.Unlock()
	n.looked = time.Now()
	return nil
}

func (n *session) columns() string {
	if n.src.cfg.Key == "" {
		return n.src.cfg.Watermark
	}
	return n.src.cfg.Watermark + " or " + n.src.cfg.Key
}

// Lag implements [poll.Lagger].
func (n *session) Lag(ctx context.Context, after string) (count int64, err error) {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	from, err := valuesOf(after, len(n.queries.order))
	if err != nil {
		return 0, err
	}
	q := n.queries.count(from, strconv.Itoa(mostLag))
	err = n.db.QueryRowContext(ctx, q.String(), q.Args...).Scan(&count)
	return count, err
}

// Complaint implements [poll.Complainer].
func (n *session) Complaint() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.complaint
}

func (n *session) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, n.src.cfg.Timeout.Std())
}

// Close implements [poll.Session].
func (n *session) Close(context.Context) error {
	n.Ears.Close()
	return n.db.Close()
}
