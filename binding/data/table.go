package data

import (
	"context"
	"sync"
	"time"
)

// Result is the answer to a query. A value is nil, bool, int64, float64,
// string, []byte or time.Time; numbers that none of them holds are strings.
type Result struct {
	Columns []string
	Rows    [][]any
	More    bool // there were more rows than were asked for
}

// Maps returns the rows with the columns' names as keys.
func (r *Result) Maps() []map[string]any {
	out := make([]map[string]any, len(r.Rows))
	for i, row := range r.Rows {
		m := make(map[string]any, len(row))
		for j, v := range row {
			m[r.Columns[j]] = v
		}
		out[i] = m
	}
	return out
}

// Bounds are those of a query's answer; 0: none.
type Bounds struct {
	Rows     int   // further ones are left, and Result.More says so
	MaxRows  int   // further ones are an error, [TooLarge]
	MaxBytes int64 // as well
}

// Statements run SQL whose placeholders are "?" in every kind of table. A
// statement that breaks a rule of uniqueness is a [Conflict], as is a
// transaction that met another.
type Statements interface {
	Query(ctx context.Context, b Bounds, sql string, args []any) (*Result, error)
	// Exec returns how many rows it changed.
	Exec(ctx context.Context, sql string, args []any) (int64, error)
	// Insert adds rows, all or none of them.
	Insert(ctx context.Context, table string, columns []string, rows [][]any) (int64, error)
}

// Database is what a driver of the class table is. Its methods are called by
// many goroutines at once. Begin's transaction ends when ctx is done.
type Database interface {
	Statements
	Begin(ctx context.Context) (Transaction, error)
}

// Transaction is one connection's. One goroutine uses it at a time.
type Transaction interface {
	Statements
	// End commits, or else undoes everything.
	End(commit bool) error
}

// Table is a binding of the class table, for functions. Any goroutine may use
// it.
type Table struct {
	statements
	db    Database
	begun func(*Tx)
}

// NewTable makes the handle of a driver, bounded by g, which may be nil.
func NewTable(db Database, g *Guard) *Table {
	peek, _ := db.(QueryPeeker)
	h := guarded(g)
	return &Table{statements: statements{h, db, peek, true, h.guard.deferred(db)}, db: db}
}

// LostTable is a handle whose calls all fail with err.
func LostTable(err error) *Table { return &Table{statements: statements{handle: handle{lost: err}}} }

// Watched returns a handle of the same table that tells begun of each
// transaction: a host can so end those that a function has left open.
func (t *Table) Watched(begun func(*Tx)) *Table {
	w := *t
	w.begun = begun
	return &w
}

// statements are those of a table or of a transaction.
type statements struct {
	handle
	to    Statements
	peek  QueryPeeker // nil if nothing is at hand
	enter bool        // each takes a place of the guard's
	later *Guard      // of inserts outside of transactions
}

func (s *statements) run(ctx context.Context, operation string, f func(ctx context.Context, to Statements) error) error {
	if s.lost != nil {
		return s.lost
	}
	to, enter := s.to, s.enter
	if x := s.around(ctx); x != nil && enter {
		to, enter = part{x: x}, false
	}
	call := func(ctx context.Context) error { return f(ctx, to) }
	switch {
	case enter && operation == insertion:
		return s.later.run(ctx, operation, false, call)
	case enter:
		return s.guard.run(ctx, operation, false, call)
	}
	held := *s.guard
	held.Slots, held.Gate = nil, nil // the transaction has them
	return held.run(ctx, operation, false, call)
}

// Query runs a statement that answers with rows. Placeholders in sql are "?",
// whatever the kind. More rows or bytes than the binding's limits are [TooLarge].
func (s *statements) Query(ctx context.Context, sql string, args ...any) (*Result, error) {
	return s.QueryLimit(ctx, 0, sql, args...)
}

// QueryLimit is Query that reads no more than limit rows, 0 for all.
func (s *statements) QueryLimit(ctx context.Context, limit int, sql string, args ...any) (r *Result, err error) {
	if s.lost != nil {
		return nil, s.lost
	}
	b := Bounds{Rows: limit, MaxRows: s.guard.MaxRows, MaxBytes: s.guard.Max}
	if s.peek != nil && s.around(ctx) == nil {
		if r, ok, err := s.peek.Peek(b, sql, args); ok {
			return r, s.told("table.query", err)
		}
	}
	err = s.run(ctx, "table.query", func(ctx context.Context, to Statements) (err error) {
		if limit < 0 {
			return Errorf(Misuse, "limit %d is below 0", limit)
		}
		r, err = to.Query(ctx, b, sql, args)
		return err
	})
	return r, err
}

// Exec runs a statement and returns how many rows it changed.
func (s *statements) Exec(ctx context.Context, sql string, args ...any) (n int64, err error) {
	defer s.wrote(ctx, "")
	err = s.run(ctx, "table.exec", func(ctx context.Context, to Statements) (err error) {
		n, err = to.Exec(ctx, sql, args)
		return err
	})
	return n, err
}

const insertion = "table.insert"

// Insert adds rows to a table, all or none of them. Names are quoted: they may
// come from anywhere.
func (s *statements) Insert(ctx context.Context, table string, columns []string, rows [][]any) (n int64, err error) {
	defer s.wrote(ctx, "")
	err = s.run(ctx, insertion, func(ctx context.Context, to Statements) (err error) {
		for i, row := range rows {
			if len(row) != len(columns) {
				return Errorf(Misuse, "row %d has %d values for %d columns", i, len(row), len(columns))
			}
		}
		if len(columns) == 0 {
			return Errorf(Misuse, "no columns are named")
		}
		if len(rows) == 0 {
			return nil
		}
		n, err = to.Insert(ctx, table, columns, rows)
		return err
	})
	return n, err
}

// Tx is an open transaction. It ends with Commit or Rollback, after the
// binding's limit of time, or when the handler that began it returns. One
// goroutine uses it at a time, unless it is used by a context: see Within.
type Tx struct {
	statements
	tx     Transaction
	once   sync.Once
	life   context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	ended  bool
	within bool       // it is a part of another, which has the place among the connections
	alone  sync.Mutex // held by a statement, if many use it: see Within
	parts  int        // that were begun; guarded by alone
}

// defaultHold is the longest life of a transaction unless the guard says.
const defaultHold = time.Minute

// Begin begins a transaction, which holds a connection until it ends; or, if ctx
// is within one (see [Tx.Within]), a part of that.
func (t *Table) Begin(ctx context.Context) (*Tx, error) {
	if t.lost != nil {
		return nil, t.lost
	}
	g, began := t.guard, time.Now()
	if x := t.around(ctx); x != nil {
		tx, err := x.nest(ctx)
		if err == nil && t.begun != nil {
			t.begun(tx)
		}
		return tx, g.over("table.begin", began, err)
	}
	wait, stop := ctx, context.CancelFunc(func() {})
	if g.Timeout > 0 {
		wait, stop = context.WithTimeout(ctx, g.Timeout)
	}
	defer stop()
	if err := g.enter(wait); err != nil {
		return nil, g.over("table.begin", began, err)
	}
	hold := g.Hold
	if hold == 0 {
		hold = defaultHold
	}
	life, cancel := context.WithTimeout(context.WithoutCancel(ctx), hold)
	giveUp := context.AfterFunc(wait, cancel)
	inner, err := t.db.Begin(life)
	if err == nil && !giveUp() {
		err = As(Timeout, context.DeadlineExceeded)
		_ = inner.End(false)
	}
	if err != nil {
		cancel()
		err = Classify(err)
		g.passed(ctx, err)
		g.leave()
		return nil, g.over("table.begin", began, err)
	}
	g.passed(ctx, nil)
	tx := &Tx{statements: statements{handle: t.handle, to: inner}, tx: inner, life: life, cancel: cancel}
	_ = g.over("table.begin", began, nil)
	if t.begun != nil {
		t.begun(tx)
	}
	return tx, nil
}

// Commit makes what the transaction did last.
func (x *Tx) Commit() error { return x.end("table.commit", true) }

// Rollback undoes what the transaction did; after its end it does nothing.
func (x *Tx) Rollback() error {
	if x.Ended() {
		return nil
	}
	return x.end("table.rollback", false)
}

// Ended reports whether Commit or Rollback was called.
func (x *Tx) Ended() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.ended
}

// Expired reports whether it ended, or was open for so long that it was undone.
func (x *Tx) Expired() bool { return x.life.Err() != nil }

func (x *Tx) end(operation string, commit bool) error {
	err, began := Errorf(Misuse, "the transaction has ended"), time.Now()
	x.once.Do(func() {
		x.mu.Lock()
		x.ended = true
		x.mu.Unlock()
		err = Classify(x.tx.End(commit))
		x.cancel()
		if !x.within {
			x.guard.leave()
		}
	})
	return x.guard.over(operation, began, err)
}

// Transact runs f in a transaction: committed if f returns nil, undone if it
// returns an error or panics.
func (t *Table) Transact(ctx context.Context, f func(*Tx) error) error {
	tx, err := t.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}
