package cache

import (
	"context"
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// Tables is a [data.Database] with a cache before it: of answers to SELECT that
// have one row, or none. Any write empties it, for nobody knows what it changed.
type Tables struct {
	data.Database
	kept *kept[*data.Result]
}

// ForTables puts a cache before a database.
func ForTables(db data.Database, o Options) *Tables { return &Tables{db, newKept(o, sizeOf)} }

func sizeOf(r *data.Result) (n int) {
	for _, c := range r.Columns {
		n += len(c) + 16
	}
	for _, row := range r.Rows {
		for _, v := range row {
			n += 24
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

// Stats says how the cache is used.
func (c *Tables) Stats() Stats { return c.kept.Stats() }

// Peek implements [data.QueryPeeker].
func (c *Tables) Peek(b data.Bounds, sql string, args []any) (*data.Result, bool, error) {
	key, ok := keyOf(b, sql, args)
	if !ok {
		return nil, false, nil
	}
	r, ok, err := c.kept.peek(key)
	if ok && err == nil {
		r = r.Clone()
	}
	return r, ok, err
}

// errMany marks an answer that is not kept.
type errMany struct{ *data.Result }

func (errMany) Error() string { return "the answer has more than one row" }

// Query implements [data.Statements].
func (c *Tables) Query(ctx context.Context, b data.Bounds, sql string, args []any) (*data.Result, error) {
	key, ok := keyOf(b, sql, args)
	if !ok {
		if !reads(sql) {
			defer c.kept.clear()
		}
		return c.Database.Query(ctx, b, sql, args)
	}
	r, err := c.kept.get(ctx, key, func() (*data.Result, error) {
		r, err := c.Database.Query(ctx, b, sql, args)
		if err == nil && len(r.Rows) > 1 {
			return nil, errMany{r}
		}
		return r, err
	})
	if many, is := err.(errMany); is { //nolint:errorlint // it comes from the line above as it is
		return many.Clone(), nil
	}
	if err != nil {
		return nil, err
	}
	return r.Clone(), nil
}

// Exec implements [data.Statements].
func (c *Tables) Exec(ctx context.Context, sql string, args []any) (int64, error) {
	defer c.kept.clear()
	return c.Database.Exec(ctx, sql, args)
}

// Insert implements [data.Statements].
func (c *Tables) Insert(ctx context.Context, table string, columns []string, rows [][]any) (int64, error) {
	defer c.kept.clear()
	return c.Database.Insert(ctx, table, columns, rows)
}

// Begin implements [data.Database].
func (c *Tables) Begin(ctx context.Context) (data.Transaction, error) {
	tx, err := c.Database.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &transaction{tx, c.kept}, nil
}

type transaction struct {
	data.Transaction
	kept *kept[*data.Result]
}

// End implements [data.Transaction].
func (t *transaction) End(commit bool) error {
	if commit {
		defer t.kept.clear()
	}
	return t.Transaction.End(commit)
}

// reads reports whether a statement is a SELECT.
func reads(sql string) bool {
	const space, word = " \t\r\n", "select"
	sql = strings.TrimLeft(sql, space)
	return len(sql) > len(word) && strings.EqualFold(sql[:len(word)], word) && strings.ContainsRune(space, rune(sql[len(word)]))
}

// keyOf names an answer; false if it is not to be kept: the statement is no
// SELECT, or a parameter of a kind that is not known.
func keyOf(b data.Bounds, sql string, args []any) (string, bool) {
	if !reads(sql) {
		return "", false
	}
	k := binary.AppendVarint(make([]byte, 0, len(sql)+16*len(args)+8), int64(b.Rows))
	k = append(binary.AppendUvarint(k, uint64(len(sql))), sql...)
	for _, a := range args {
		switch a := a.(type) {
		case nil:
			k = append(k, 'n')
		case bool:
			k = append(k, 'f')
			if a {
				k[len(k)-1] = 't'
			}
		case int:
			k = binary.AppendVarint(append(k, 'i'), int64(a))
		case int64:
			k = binary.AppendVarint(append(k, 'i'), a)
		case float64:
			k = binary.LittleEndian.AppendUint64(append(k, 'd'), math.Float64bits(a))
		case string:
			k = append(binary.AppendUvarint(append(k, 's'), uint64(len(a))), a...)
		case []byte:
			k = append(binary.AppendUvarint(append(k, 'b'), uint64(len(a))), a...)
		case time.Time:
			k = append(k, 'T')
			k = a.AppendFormat(k, time.RFC3339Nano)
		default:
			return "", false
		}
	}
	return string(k), true
}
