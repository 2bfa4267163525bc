package outbox

import (
	"strings"
	"time"

	"github.com/myelin-run/myelin/trigger/sql/link"
)

// queries writes the statements of one trigger. Names are quoted, and values are
// parameters. A row is its processor's as long as the count of attempts is what
// it was when the row was taken.
type queries struct {
	link.Dialect
	table, id, order, visible, attempts, done, failed string
	waits                                             string // the condition of rows that are not done
}

func newQueries(d link.Dialect, c *Config) *queries {
	q := &queries{Dialect: d, table: d.Quoted(c.Table), id: d.Column(c.ID), order: d.Column(c.Order), visible: d.Column(c.VisibleAt), attempts: d.Column(c.Attempts)}
	q.waits = "TRUE"
	if c.Done != "" {
		q.done = d.Column(c.Done)
		q.waits += " AND t." + q.done + " IS NULL"
	}
	if c.Failed != "" {
		q.failed = d.Column(c.Failed)
		q.waits += " AND t." + q.failed + " IS NULL"
	}
	return q
}

// check reads nothing, and fails if a column is not there.
func (q *queries) check() *link.Statement {
	columns := []string{q.id, q.order, q.visible, q.attempts}
	for _, c := range []string{q.done, q.failed} {
		if c != "" {
			columns = append(columns, c)
		}
	}
	return q.Statement("SELECT " + strings.Join(columns, ", ") + " FROM " + q.table + " LIMIT 0")
}

// take takes rows that nobody has, and returns them: id, attempts and the row.
func (q *queries) take(limit int, visibility time.Duration) *link.Statement {
	s := q.Statement("WITH c AS (SELECT t." + q.id + " AS id FROM " + q.table + " t WHERE " + q.waits + " AND (t." + q.visible + " IS NULL OR t." + q.visible + " <= now())" +
		" ORDER BY t." + q.order + " LIMIT ").Arg(limit).Text(" FOR UPDATE SKIP LOCKED), ")
	span(s.Text("u AS (UPDATE "+q.table+" t SET "+q.visible+" = now() + "), visibility).Text(", " + q.attempts + " = COALESCE(t." + q.attempts + ", 0) + 1 FROM c WHERE t." + q.id + " = c.id RETURNING t.*) ")
	return s.Text("SELECT CAST(u." + q.id + " AS TEXT) AS myelin_i, CAST(u." + q.attempts + " AS BIGINT) AS myelin_a, u.* FROM u ORDER BY u." + q.order)
}

// of is the condition that rows are still ours.
func (q *queries) of(s *link.Statement, rows ...row) *link.Statement {
	s.Text(" WHERE (" + q.id + ", " + q.attempts + ") IN (")
	for i, r := range rows {
		if i > 0 {
			s.Text(", ")
		}
		s.Text("(").Arg(r.id).Text(", ").Arg(r.attempts).Text(")")
	}
	return s.Text(")")
}

// finish deletes rows that are done, or marks them.
func (q *queries) finish(rows []row) *link.Statement {
	if q.done != "" {
		return q.of(q.Statement("UPDATE "+q.table+" SET "+q.done+" = now()"), rows...)
	}
	return q.of(q.Statement("DELETE FROM "+q.table), rows...)
}

// requeue lets rows be taken again after a delay. What is given back at once was
// no attempt.
func (q *queries) requeue(rows []row, delay time.Duration) *link.Statement {
	s := span(q.Statement("UPDATE "+q.table+" SET "+q.visible+" = now() + "), delay)
	if delay <= 0 {
		s.Text(", " + q.attempts + " = " + q.attempts + " - 1")
	}
	return q.of(s, rows...)
}

// extend keeps rows for longer.
func (q *queries) extend(rows []row, visibility time.Duration) *link.Statement {
	return q.of(span(q.Statement("UPDATE "+q.table+" SET "+q.visible+" = now() + "), visibility), rows...)
}

// fail marks a row that is given up.
func (q *queries) fail(r row, why string) *link.Statement {
	return q.of(q.Statement("UPDATE "+q.table+" SET "+q.failed+" = ").Arg(strings.ToValidUTF8(strings.ReplaceAll(why, "\x00", ""), "?")), r)
}

// lag counts the rows that wait, up to a limit.
func (q *queries) lag(most int) *link.Statement {
	return q.Statement("SELECT COUNT(*) FROM (SELECT 1 FROM " + q.table + " t WHERE " + q.waits + " LIMIT ").Arg(most).Text(") n")
}

// span writes a duration.
func span(s *link.Statement, d time.Duration) *link.Statement {
	return s.Text("CAST(").Arg(d.Microseconds()).Text(" AS BIGINT) * interval '1 microsecond'")
}
