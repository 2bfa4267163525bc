package batch

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/myelin-run/myelin/binding/data"
)

// Tables is a [data.Database] that gathers inserts outside of transactions. What
// else an event asks of it waits for the event's own inserts.
type Tables struct {
	data.Database
	g       *gatherer[insert]
	columns atomic.Pointer[[]string] // of the last insert
}

type insert struct {
	into    string
	columns []string
	rows    [][]any
}

// Insert makes an insert, all or none of its rows.
type Insert func(ctx context.Context, table string, columns []string, rows [][]any) error

// ForTables gathers the inserts of a database, and makes them by in.
func ForTables(db data.Database, o Options, in Insert) *Tables {
	return &Tables{Database: db, g: newGatherer(o, sizeOf, func(ctx context.Context, all []insert) []error { return insertAll(ctx, all, in) })}
}

func sizeOf(i insert) (n int) {
	for _, row := range i.rows {
		for _, v := range row {
			n += 16
			switch v := v.(type) {
			case string:
				n += len(v)
			case []byte:
				n += len(v)
			}
		}
	}
	return n
}

// insertAll makes one insert of those into one table with the same columns.
func insertAll(ctx context.Context, all []insert, in Insert) []error {
	errs := make([]error, len(all))
	alike := map[string]*group{}
	var order []*group
	var last *group
	for i := range all {
		if last == nil || !same(&all[i], &all[last.at[0]]) { // mostly they are
			k := key(all[i])
			if last = alike[k]; last == nil {
				last = &group{}
				alike[k] = last
				order = append(order, last)
			}
		}
		last.at = append(last.at, i)
		last.rows += len(all[i].rows)
	}
	for _, g := range order {
		insertAlike(ctx, all, g, in, errs)
	}
	return errs
}

// group are the places of inserts into one table with the same columns, and how
// many rows they have.
type group struct {
	at   []int
	rows int
}

func same(i, j *insert) bool { return i.into == j.into && slices.Equal(i.columns, j.columns) }

func key(i insert) string {
	k := strconv.Quote(i.into)
	for _, c := range i.columns {
		k += "," + strconv.Quote(c)
	}
	return k
}

// insertAlike makes the inserts of a group in one. If the rows are refused, each is
// tried by itself: one that is wrong fails its own event only.
func insertAlike(ctx context.Context, all []insert, g *group, in Insert, errs []error) {
	at, rows := g.at, make([][]any, 0, g.rows)
	for _, i := range at {
		rows = append(rows, all[i].rows...)
	}
	first := all[at[0]]
	err := in(ctx, first.into, first.columns, rows)
	for _, i := range at {
		if err != nil && len(at) > 1 && refused(err) {
			errs[i] = in(ctx, first.into, first.columns, all[i].rows)
			continue
		}
		errs[i] = err
	}
}

// refused reports whether it is what was written that is wrong, so that nothing
// was.
func refused(err error) bool {
	switch data.ReasonOf(err) {
	case data.Away, data.Timeout, data.Busy, data.Denied:
		return false
	}
	return true
}

// Insert implements [data.Statements]. The rows are counted, and taken.
func (t *Tables) Insert(ctx context.Context, table string, columns []string, rows [][]any) (int64, error) {
	if _, err := t.g.add(ctx, insert{table, t.named(columns), clone(rows)}); err != nil {
		return 0, err
	}
	return int64(len(rows)), nil
}

// named is a copy of columns, or that of the insert before if it has the same.
func (t *Tables) named(columns []string) []string {
	if had := t.columns.Load(); had != nil && slices.Equal(*had, columns) {
		return *had
	}
	own := slices.Clone(columns)
	t.columns.Store(&own)
	return own
}

func clone(rows [][]any) [][]any {
	n := 0
	for _, row := range rows {
		n += len(row)
	}
	out, all := make([][]any, len(rows)), make([]any, 0, n)
	for k, row := range rows {
		at := len(all)
		all = append(all, row...)
		out[k] = all[at:len(all):len(all)]
	}
	for i, v := range all {
		if b, ok := v.([]byte); ok {
			all[i] = append([]byte{}, b...)
		}
	}
	return out
}

// Peek implements [data.QueryPeeker], for databases that do. The event that asks
// is not known, so nothing is at hand while any insert waits.
func (t *Tables) Peek(b data.Bounds, sql string, args []any) (*data.Result, bool, error) {
	p, ok := t.Database.(data.QueryPeeker)
	if !ok || t.g.held() {
		return nil, false, nil
	}
	return p.Peek(b, sql, args)
}

// Query implements [data.Statements].
func (t *Tables) Query(ctx context.Context, b data.Bounds, sql string, args []any) (*data.Result, error) {
	if err := t.g.settle(ctx); err != nil {
		return nil, err
	}
	return t.Database.Query(ctx, b, sql, args)
}

// Exec implements [data.Statements].
func (t *Tables) Exec(ctx context.Context, sql string, args []any) (int64, error) {
	if err := t.g.settle(ctx); err != nil {
		return 0, err
	}
	return t.Database.Exec(ctx, sql, args)
}

// Begin implements [data.Database].
func (t *Tables) Begin(ctx context.Context) (data.Transaction, error) {
	if err := t.g.settle(ctx); err != nil {
		return nil, err
	}
	return t.Database.Begin(ctx)
}

// Defers implements [data.Deferrer].
func (t *Tables) Defers() bool { return true }

// Stats says what was gathered.
func (t *Tables) Stats() Stats { return t.g.Stats() }

// Close makes the inserts that are left.
func (t *Tables) Close() { t.g.close() }
