package link

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
)

// Shape says what of a row becomes what of an event.
type Shape struct {
	Body    string   // the column that is the body; "": the row is, as a JSON object
	Key     string   // the column that is the key; "": none is
	Headers []string // the columns that are headers
	Hidden  []string // the columns that a JSON object does not have
}

// Reader makes events of the rows of one answer. Its first columns are not the
// event's, but the caller's own.
type Reader struct {
	lead  int
	names []string // of the event's columns
	types []string
	key   int // place of the column; -1: none; so body
	body  int
	heads []int
	shown []int
	into  []any
	row   []any
}

// NewReader makes one, for rows of which lead columns are the caller's.
func NewReader(shape Shape, lead int, rows *sql.Rows) (*Reader, error) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	r := &Reader{lead: lead, key: -1, body: -1, row: make([]any, len(types)), into: make([]any, len(types))}
	for i, t := range types {
		r.into[i] = &r.row[i]
		if i >= lead {
			r.names, r.types = append(r.names, t.Name()), append(r.types, strings.ToUpper(t.DatabaseTypeName()))
		}
	}
	for i, name := range r.names {
		if !slices.Contains(shape.Hidden, name) {
			r.shown = append(r.shown, i)
		}
	}
	return r, r.find(shape)
}

// find looks up the columns that a shape names.
func (r *Reader) find(shape Shape) error {
	place := func(column string) (int, error) {
		at := slices.Index(r.names, column)
		if at < 0 {
			return 0, fmt.Errorf("the rows have no column %q: they have %s", column, strings.Join(r.names, ", "))
		}
		return at, nil
	}
	var err error
	if shape.Key != "" {
		if r.key, err = place(shape.Key); err != nil {
			return err
		}
	}
	if shape.Body != "" {
		if r.body, err = place(shape.Body); err != nil {
			return err
		}
	}
	for _, column := range shape.Headers {
		at, err := place(column)
		if err != nil {
			return err
		}
		r.heads = append(r.heads, at)
	}
	return nil
}

// Read reads the row that rows stands at: its first columns, which are valid
// until the next call, and the event.
func (r *Reader) Read(rows *sql.Rows) (lead []any, ev event.Event, err error) {
	clear(r.row)
	if err := rows.Scan(r.into...); err != nil {
		return nil, ev, err
	}
	row := r.row[r.lead:]
	if r.key >= 0 && row[r.key] != nil {
		ev.Key = text(r.plain(r.key, row[r.key]))
	}
	var headers event.Pairs
	for _, i := range r.heads {
		if row[i] != nil {
			headers = append(headers, event.Pair{Key: r.names[i], Value: text(r.plain(i, row[i]))})
		}
	}
	if headers != nil {
		ev.Headers = headers
	}
	if r.body >= 0 {
		if row[r.body] != nil {
			v := r.plain(r.body, row[r.body])
			if _, ok := v.(json.RawMessage); ok {
				ev.ContentType = []byte("application/json")
			}
			ev.Body = text(v)
		}
		return r.row[:r.lead], ev, nil
	}
	ev.ContentType = []byte("application/json")
	ev.Body, err = r.object(row)
	return r.row[:r.lead], ev, err
}

// object writes the row as JSON, its columns in their order.
func (r *Reader) object(row []any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for n, i := range r.shown {
		if n > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(r.names[i])
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(r.plain(i, row[i]))
		if err != nil {
			return nil, fmt.Errorf("write column %s: %w", r.names[i], err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// plain makes of what a driver returned what JSON writes as one expects: texts
// that come as bytes are texts, JSON is itself, other bytes are base64.
func (r *Reader) plain(i int, v any) any {
	kind := r.types[i]
	switch x := v.(type) {
	case []byte:
		switch {
		case kind == "JSON" || kind == "JSONB":
			if json.Valid(x) {
				return json.RawMessage(x)
			}
		case kind == "" && !utf8.Valid(x), strings.Contains(kind, "BLOB") || strings.Contains(kind, "BINARY") || kind == "BYTEA" || kind == "BIT" || kind == "GEOMETRY":
			return x
		}
		if utf8.Valid(x) {
			return string(x)
		}
	case string:
		if (kind == "JSON" || kind == "JSONB") && json.Valid([]byte(x)) {
			return json.RawMessage(x)
		}
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Sprint(x)
		}
	}
	return v
}

// text is a value as a key, a header or a body.
func text(v any) []byte {
	switch x := v.(type) {
	case []byte:
		return x
	case json.RawMessage:
		return x
	case string:
		return []byte(x)
	case time.Time:
		return []byte(x.Format(time.RFC3339Nano))
	}
	return fmt.Append(nil, v)
}
