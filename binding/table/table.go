// Package table is the engine of the bindings of class table: it runs statements
// through database/sql, rewrites placeholders, reads answers within bounds and
// inserts many rows at once. What is peculiar to a database is its [Dialect]; the
// engine knows no database and no driver.
package table

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
)

// Dialect is what is peculiar to a database.
type Dialect struct {
	Syntax Syntax
	Quote  string // around names; doubled within them
	Params int    // most parameters of one statement
	// Reason gives an error of the driver a reason, or returns it as it is.
	Reason func(error) error
	// Text reports whether bytes of a column of that type are text; nil: never.
	Text func(columnType string) bool
	// Copy inserts many rows outside of a transaction, all or none, in a way that is
	// faster than statements; nil: there is none. If done is false it could not be
	// used for these, nothing was done, and a statement is to be tried.
	Copy func(ctx context.Context, conn *sql.Conn, table, columns []string, rows [][]any) (done bool, err error)
	// Undone reports whether, by an error, the database has undone the whole
	// transaction and would do what follows outside of it; nil: never.
	Undone func(error) bool
}

// DB is a database behind its dialect. It implements [binding.Binding] and
// [data.Database] but for what the kind adds.
type DB struct {
	dialect Dialect
	connect func() (*sql.DB, error)
	conns   int

	mu sync.RWMutex
	db *sql.DB
}

// New makes a DB, which opens nothing. Connect is called by Open; conns is the
// most connections at once.
func New(d Dialect, conns int, connect func() (*sql.DB, error)) *DB {
	return &DB{dialect: d, connect: connect, conns: conns}
}

// Open implements [binding.Binding].
func (d *DB) Open(ctx context.Context) error {
	db, err := d.connect()
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(d.conns)
	db.SetMaxIdleConns(d.conns)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return d.reason(err)
	}
	d.mu.Lock()
	d.db = db
	d.mu.Unlock()
	return nil
}

// Close implements [binding.Binding].
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.db == nil {
		return nil
	}
	return d.db.Close()
}

// Check implements [binding.Checker].
func (d *DB) Check(ctx context.Context) error {
	db, err := d.open()
	if err != nil {
		return err
	}
	return d.reason(db.PingContext(ctx))
}

var _ binding.Checker = (*DB)(nil)

func (d *DB) open() (*sql.DB, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.db == nil {
		return nil, data.Errorf(data.Away, "it is not open")
	}
	return d.db, nil
}

// reason gives err a reason: the dialect's, or that of a broken connection.
func (d *DB) reason(err error) error {
	if err == nil || data.ReasonOf(err) != 0 {
		return err
	}
	if out := d.dialect.Reason(err); data.ReasonOf(out) != 0 {
		return out
	}
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return data.As(data.Away, err)
	}
	if err = data.Classify(err); data.ReasonOf(err) == 0 {
		return data.As(data.Misuse, err) // of the text or its parameters
	}
	return err
}

// Query implements [data.Statements].
func (d *DB) Query(ctx context.Context, b data.Bounds, text string, args []any) (*data.Result, error) {
	db, err := d.open()
	if err != nil {
		return nil, err
	}
	return d.query(ctx, db, b, text, args)
}

// Exec implements [data.Statements].
func (d *DB) Exec(ctx context.Context, text string, args []any) (int64, error) {
	db, err := d.open()
	if err != nil {
		return 0, err
	}
	return d.exec(ctx, db, text, args)
}

// Insert implements [data.Statements]: in one transaction if it takes more than
// one statement.
func (d *DB) Insert(ctx context.Context, table string, columns []string, rows [][]any) (n int64, err error) {
	if d.dialect.Copy != nil && len(rows) >= copyLeast {
		if done, err := d.copy(ctx, table, columns, rows); done {
			return inserted(rows, err)
		}
	}
	if len(rows) <= d.perStatement(columns) {
		db, err := d.open()
		if err != nil {
			return 0, err
		}
		return d.insert(ctx, db, table, columns, rows)
	}
	tx, err := d.Begin(ctx)
	if err != nil {
		return 0, err
	}
	if n, err = tx.Insert(ctx, table, columns, rows); err != nil {
		_ = tx.End(false)
		return 0, err
	}
	return n, tx.End(true)
}

func inserted(rows [][]any, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return int64(len(rows)), nil
}

// copyLeast is from how many rows on a dialect's Copy is worth its preparation.
const copyLeast = 32

// copy inserts rows by the dialect's Copy, if that can.
func (d *DB) copy(ctx context.Context, table string, columns []string, rows [][]any) (done bool, err error) {
	if _, err := d.into(table, columns); err != nil {
		return true, err
	}
	db, err := d.open()
	if err != nil {
		return true, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return true, d.failed(ctx, err)
	}
	defer conn.Close()
	if done, err = d.dialect.Copy(ctx, conn, strings.Split(table, "."), columns, rows); !done || err == nil {
		return done, nil
	}
	return true, d.failed(ctx, err)
}

// Begin implements [data.Database].
func (d *DB) Begin(ctx context.Context) (data.Transaction, error) {
	db, err := d.open()
	if err != nil {
		return nil, err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, d.reason(err)
	}
	return &transaction{d, tx}, nil
}

type transaction struct {
	d  *DB
	tx *sql.Tx
}

func (t *transaction) Query(ctx context.Context, b data.Bounds, text string, args []any) (*data.Result, error) {
	r, err := t.d.query(ctx, t.tx, b, text, args)
	return r, t.after(err)
}

func (t *transaction) Exec(ctx context.Context, text string, args []any) (int64, error) {
	n, err := t.d.exec(ctx, t.tx, text, args)
	return n, t.after(err)
}

func (t *transaction) Insert(ctx context.Context, table string, columns []string, rows [][]any) (int64, error) {
	n, err := t.d.insert(ctx, t.tx, table, columns, rows)
	return n, t.after(err)
}

// after ends a transaction that the database has undone: whoever goes on with it
// hears that it has ended.
func (t *transaction) after(err error) error {
	if err != nil && t.d.dialect.Undone != nil && t.d.dialect.Undone(err) {
		_ = t.tx.Rollback() // there is nothing left to undo
	}
	return err
}

// End implements [data.Transaction].
func (t *transaction) End(commit bool) error {
	if commit {
		err := t.tx.Commit()
		if errors.Is(err, sql.ErrTxDone) {
			return data.Errorf(data.Conflict, "the transaction was undone: it was open for too long, or its connection broke")
		}
		return t.d.reason(err)
	}
	if err := t.tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) && !errors.Is(err, driver.ErrBadConn) {
		return t.d.reason(err)
	}
	return nil
}

// runner is a database or a transaction.
type runner interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (d *DB) exec(ctx context.Context, r runner, text string, args []any) (int64, error) {
	text, err := d.dialect.Syntax.rewrite(text, len(args))
	if err != nil {
		return 0, err
	}
	res, err := r.ExecContext(ctx, text, args...)
	if err != nil {
		return 0, d.failed(ctx, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, nil // not every statement says
	}
	return n, nil
}

// failed is why a statement failed: its context, if that has ended, rather than
// how the driver felt it.
func (d *DB) failed(ctx context.Context, err error) error {
	err = d.reason(err)
	if r := data.ReasonOf(err); ctx.Err() != nil && r != data.Timeout {
		return data.As(data.Timeout, fmt.Errorf("%w: %s", ctx.Err(), err.Error()))
	} else if errors.Is(err, sql.ErrTxDone) {
		return data.Errorf(data.Conflict, "the transaction has ended: it was open for too long, or its connection broke")
	}
	return err
}

// perStatement is how many rows one statement can insert.
func (d *DB) perStatement(columns []string) int {
	return max(1, d.dialect.Params/len(columns))
}

func (d *DB) insert(ctx context.Context, r runner, table string, columns []string, rows [][]any) (n int64, err error) {
	into, err := d.into(table, columns)
	if err != nil {
		return 0, err
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(columns)), ",") + ")"
	for per := d.perStatement(columns); len(rows) > 0; {
		part := rows[:min(per, len(rows))]
		rows = rows[len(part):]
		args := make([]any, 0, len(part)*len(columns))
		for _, row := range part {
			args = append(args, row...)
		}
		m, err := d.exec(ctx, r, into+strings.TrimSuffix(strings.Repeat(one+",", len(part)), ","), args)
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// into is an insertion without its values.
func (d *DB) into(table string, columns []string) (string, error) {
	name, err := d.name(strings.Split(table, ".")...)
	if err != nil {
		return "", err
	}
	quoted := make([]string, len(columns))
	for i, c := range columns {
		if quoted[i], err = d.name(c); err != nil {
			return "", err
		}
	}
	return "INSERT INTO " + name + " (" + strings.Join(quoted, ",") + ") VALUES ", nil
}

// name quotes the parts of a name.
func (d *DB) name(parts ...string) (string, error) {
	for i, p := range parts {
		if p == "" || len(p) > 128 || strings.ContainsRune(p, 0) {
			return "", data.Errorf(data.Misuse, "%.200q is no name of a table or column", strings.Join(parts, "."))
		}
		q := d.dialect.Quote
		parts[i] = q + strings.ReplaceAll(p, q, q+q) + q
	}
	return strings.Join(parts, "."), nil
}
