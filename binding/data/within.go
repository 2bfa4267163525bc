package data

import (
	"context"
	"strconv"
)

// within is the key under which a context has the transaction of the binding
// with that guard.
type within struct{ guard *Guard }

// Within returns a context in which what is done with the table of x is part of
// x: statements run in it, whoever calls, and a transaction that is begun is a
// part of x that may be undone by itself. It is how a host has the effects of an
// event in a transaction of its own, with nothing said by the function. Statements
// take turns.
func (x *Tx) Within(ctx context.Context) context.Context {
	return context.WithValue(ctx, within{x.guard}, x)
}

// around returns the transaction that ctx is in, nil if it is in none.
func (h *handle) around(ctx context.Context) *Tx {
	if h.guard == nil {
		return nil
	}
	x, _ := ctx.Value(within{h.guard}).(*Tx)
	return x
}

// part is a transaction as many use it at once, and what one of them began in
// it.
type part struct {
	x    *Tx
	save string // the name of the savepoint; "" if it began nothing
}

var errOver = Errorf(Conflict, "the transaction of the event has ended")

// turn runs f alone.
func (p part) turn(f func(Transaction) error) error {
	p.x.alone.Lock()
	defer p.x.alone.Unlock()
	if p.x.Ended() {
		return errOver
	}
	return f(p.x.tx)
}

// Query implements [Statements].
func (p part) Query(ctx context.Context, b Bounds, sql string, args []any) (r *Result, err error) {
	err = p.turn(func(tx Transaction) error {
		r, err = tx.Query(ctx, b, sql, args)
		return err
	})
	return r, err
}

// Exec implements [Statements].
func (p part) Exec(ctx context.Context, sql string, args []any) (n int64, err error) {
	err = p.turn(func(tx Transaction) error {
		n, err = tx.Exec(ctx, sql, args)
		return err
	})
	return n, err
}

// Insert implements [Statements].
func (p part) Insert(ctx context.Context, table string, columns []string, rows [][]any) (n int64, err error) {
	err = p.turn(func(tx Transaction) error {
		n, err = tx.Insert(ctx, table, columns, rows)
		return err
	})
	return n, err
}

// End implements [Transaction].
func (p part) End(commit bool) error {
	return p.turn(func(tx Transaction) error {
		if !commit {
			if _, err := tx.Exec(p.x.life, "ROLLBACK TO SAVEPOINT "+p.save, nil); err != nil {
				return err
			}
		}
		_, err := tx.Exec(p.x.life, "RELEASE SAVEPOINT "+p.save, nil)
		return err
	})
}

// nest begins a part of x.
func (x *Tx) nest(ctx context.Context) (*Tx, error) {
	p := part{x: x}
	err := p.turn(func(tx Transaction) error {
		x.parts++
		p.save = "myelin_" + strconv.Itoa(x.parts)
		_, err := tx.Exec(ctx, "SAVEPOINT "+p.save, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Tx{statements: statements{handle: x.handle, to: p}, tx: p, life: x.life, cancel: func() {}, within: true}, nil
}
