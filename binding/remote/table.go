package remote

import (
	"context"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
)

// statements are a table or one of its transactions.
type statements interface {
	QueryLimit(ctx context.Context, limit int, sql string, args ...any) (*data.Result, error)
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
	Insert(ctx context.Context, table string, columns []string, rows [][]any) (int64, error)
}

func (r *request) table(t *data.Table) operations {
	return operations{
		"table.query":    r.on(t, r.query),
		"table.fetched":  func(ctx context.Context) error { return r.rows(t.Fetched(ctx, r.call.Path)) },
		"table.exec":     r.on(t, r.exec),
		"table.insert":   r.on(t, r.insert),
		"table.begin":    func(ctx context.Context) error { return r.begin(ctx, t) },
		"table.commit":   func(context.Context) error { return r.end((*data.Tx).Commit) },
		"table.rollback": func(context.Context) error { return r.end((*data.Tx).Rollback) },
	}
}

// on runs f on the transaction that the call names, or else on the table.
func (r *request) on(t *data.Table, f func(context.Context, statements) error) func(context.Context) error {
	return func(ctx context.Context) error {
		id, _ := r.header("Transaction")
		if id == "" {
			return f(ctx, t)
		}
		o, err := r.s.take(r.call.Name, id, false)
		if err != nil {
			return err
		}
		o.turn.Lock()
		defer o.turn.Unlock()
		return f(ctx, o.tx)
	}
}

func (r *request) query(ctx context.Context, s statements) error {
	limit, err := r.limit()
	if err != nil {
		return err
	}
	args, err := parameters(r.body)
	if err != nil {
		return err
	}
	return r.rows(s.QueryLimit(ctx, limit, r.call.Path, args...))
}

// rows answers with those of a query.
func (r *request) rows(res *data.Result, err error) error {
	if err != nil {
		return err
	}
	r.answer.ContentType = "application/json"
	r.answer.Body = appendResult(r.answer.Body[:0], res)
	return nil
}

func (r *request) exec(ctx context.Context, s statements) error {
	args, err := parameters(r.body)
	if err != nil {
		return err
	}
	n, err := s.Exec(ctx, r.call.Path, args...)
	return r.json(affected{n}, err)
}

type affected struct {
	Affected int64 `json:"affected"`
}

func (r *request) insert(ctx context.Context, s statements) error {
	rows, err := rowsOf(r.body)
	if err != nil {
		return err
	}
	columns, _ := r.header("Columns")
	n, err := s.Insert(ctx, r.call.Path, strings.Split(columns, ","), rows)
	return r.json(affected{n}, err)
}

func (r *request) begin(ctx context.Context, t *data.Table) error {
	tx, err := t.Begin(ctx)
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // nobody will hear of it
		_ = tx.Rollback()
		return data.As(data.Timeout, ctx.Err())
	}
	id := r.s.keep(&owned{owner: r.owner, binding: r.call.Name, tx: tx})
	r.answer.Body = append(r.answer.Body[:0], id...)
	return nil
}

func (r *request) end(how func(*data.Tx) error) error {
	o, err := r.s.take(r.call.Name, r.call.Path, true)
	if err != nil {
		return err
	}
	o.turn.Lock()
	defer o.turn.Unlock()
	return r.nothing(how(o.tx))
}
