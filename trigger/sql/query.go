package sql

import (
	"strings"

	"github.com/myelin-run/myelin/trigger/sql/link"
)

// queries writes the statements of one trigger. Names are quoted, and values are
// parameters.
type queries struct {
	link.Dialect
	from    string // what is read, as part of a statement, under the name q
	columns string
	order   []string // watermark, and key if there is one
}

func newQueries(d link.Dialect, c *Config) *queries {
	q := &queries{Dialect: d, columns: "q.*"}
	q.from = d.Quoted(c.Table) + " q"
	if c.Query != "" {
		q.from = "(\n" + c.Query + "\n) q"
	}
	if len(c.Columns) > 0 {
		all := make([]string, len(c.Columns))
		for i, name := range c.Columns {
			all[i] = "q." + d.Column(name)
		}
		q.columns = strings.Join(all, ", ")
	}
	q.order = []string{"q." + d.Column(c.Watermark)}
	if c.Key != "" && c.Key != c.Watermark {
		q.order = append(q.order, "q."+d.Column(c.Key))
	}
	return q
}

// lead is how many columns come before those of the row: those of the cursor, and
// the watermark as what it is.
func (q *queries) lead() int { return len(q.order) + 1 }

func (q *queries) head() string {
	var b strings.Builder
	for i, c := range q.order {
		b.WriteString(q.Exact(c) + " AS myelin_" + []string{"w", "k"}[i] + ", ")
	}
	return b.String()
}

// page selects the rows behind a cursor, and not behind upTo, if that is given.
func (q *queries) page(after, upTo []any, limit string) *link.Statement {
	s := q.Statement("SELECT " + q.head() + q.order[0] + " AS myelin_t, " + q.columns + " FROM " + q.from + " WHERE ")
	q.present(s)
	q.behind(s, after)
	q.within(s, upTo)
	s.Text(" ORDER BY " + strings.Join(q.order, ", ") + " LIMIT " + limit)
	return s
}

// last selects the cursor of the last row.
func (q *queries) last() *link.Statement {
	s := q.Statement("SELECT " + strings.TrimSuffix(q.head(), ", ") + " FROM " + q.from + " WHERE ")
	q.present(s)
	return s.Text(" ORDER BY " + strings.Join(q.order, " DESC, ") + " DESC LIMIT 1")
}

// count counts the rows behind a cursor, up to a limit.
func (q *queries) count(after []any, limit string) *link.Statement {
	s := q.Statement("SELECT COUNT(*) FROM (SELECT 1 AS one FROM " + q.from + " WHERE ")
	q.present(s)
	q.behind(s, after)
	return s.Text(" LIMIT " + limit + ") n")
}

// nulls counts the rows that cannot be read, up to a limit.
func (q *queries) nulls(limit string) *link.Statement {
	return q.Statement("SELECT COUNT(*) FROM (SELECT 1 AS one FROM " + q.from + " WHERE " + strings.Join(q.order, " IS NULL OR ") + " IS NULL LIMIT " + limit + ") n")
}

func (q *queries) present(s *link.Statement) {
	s.Text(strings.Join(q.order, " IS NOT NULL AND ") + " IS NOT NULL")
}

// behind is written so that an index on the watermark is used.
func (q *queries) behind(s *link.Statement, at []any) {
	switch {
	case len(at) == 0:
	case len(at) < len(q.order): // a time to begin at
		s.Text(" AND " + q.order[0] + " >= ").Arg(at[0])
	case len(at) == 1:
		s.Text(" AND " + q.order[0] + " > ").Arg(at[0])
	default:
		s.Text(" AND " + q.order[0] + " >= ").Arg(at[0])
		s.Text(" AND (" + q.order[0] + " > ").Arg(at[0]).Text(" OR " + q.order[1] + " > ").Arg(at[1]).Text(")")
	}
}

func (q *queries) within(s *link.Statement, at []any) {
	switch len(at) {
	case 0:
	case 1:
		s.Text(" AND " + q.order[0] + " <= ").Arg(at[0])
	default:
		s.Text(" AND " + q.order[0] + " <= ").Arg(at[0])
		s.Text(" AND (" + q.order[0] + " < ").Arg(at[0]).Text(" OR " + q.order[1] + " <= ").Arg(at[1]).Text(")")
	}
}
