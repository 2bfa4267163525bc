package table

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/myelin-run/myelin/binding/data"
)

func (d *DB) query(ctx context.Context, r runner, b data.Bounds, text string, args []any) (*data.Result, error) {
	text, err := d.dialect.Syntax.rewrite(text, len(args))
	if err != nil {
		return nil, err
	}
	rows, err := r.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, d.failed(ctx, err)
	}
	out, err := d.read(rows, b)
	if cerr := rows.Close(); err == nil && cerr != nil {
		err = cerr
	}
	if err != nil {
		return nil, d.failed(ctx, err)
	}
	return out, nil
}

// read takes an answer within its bounds.
func (d *DB) read(rows *sql.Rows, b data.Bounds) (*data.Result, error) {
	out := &data.Result{Rows: [][]any{}}
	var err error
	if out.Columns, err = rows.Columns(); err != nil {
		return nil, err
	}
	text, err := d.textColumns(rows)
	if err != nil {
		return nil, err
	}
	var size int64
	into := make([]any, len(out.Columns))
	for rows.Next() {
		if b.Rows > 0 && len(out.Rows) == b.Rows {
			out.More = true
			return out, nil
		}
		if b.MaxRows > 0 && len(out.Rows) == b.MaxRows {
			return nil, data.Errorf(data.TooLarge, "the answer has more than %d rows: ask for fewer", b.MaxRows)
		}
		row := make([]any, len(out.Columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i := range row {
			row[i] = value(row[i], text[i])
			size += sizeOf(row[i])
		}
		if b.MaxBytes > 0 && size > b.MaxBytes {
			return nil, data.Errorf(data.TooLarge, "the answer is above the limit of %d bytes (maxValue): ask for less", b.MaxBytes)
		}
		out.Rows = append(out.Rows, row)
	}
	return out, rows.Err()
}

// textColumns says of which columns bytes are text.
func (d *DB) textColumns(rows *sql.Rows) ([]bool, error) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	text := make([]bool, len(types))
	for i, t := range types {
		text[i] = d.dialect.Text != nil && d.dialect.Text(t.DatabaseTypeName())
	}
	return text, nil
}

// value brings what a driver returned to the kinds of [data.Result].
func value(v any, text bool) any {
	switch v := v.(type) {
	case []byte:
		if text && utf8.Valid(v) {
			return string(v)
		}
		return bytes.Clone(v)
	case nil, bool, int64, float64, string, time.Time:
		return v
	case int32:
		return int64(v)
	case int:
		return int64(v)
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v)
		}
	case float32:
		return float64(v)
	}
	return fmt.Sprint(v)
}

func sizeOf(v any) int64 {
	switch v := v.(type) {
	case []byte:
		return int64(len(v))
	case string:
		return int64(len(v))
	}
	return 8
}
