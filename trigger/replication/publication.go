package replication

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/myelin-run/myelin/trigger/sql/link"
)

// madeHere is the comment of a publication that a trigger made, and may change.
const madeHere = "made by a trigger of Myelin"

// publish sees to the publication.
func (s *source) publish(ctx context.Context, db *sql.DB) error {
	p, err := s.published(ctx, db)
	if err != nil {
		return err
	}
	if len(s.cfg.Tables) == 0 {
		if !p.there {
			return fmt.Errorf("publication %q is not there; it is made by: CREATE PUBLICATION %s FOR TABLE ..., or by the attribute tables", s.cfg.Publication, quoted(s.cfg.Publication))
		}
		return nil
	}
	want, err := s.wanted(ctx, db)
	if err != nil {
		return err
	}
	switch {
	case !p.there:
		return s.create(ctx, db, want)
	case p.all == s.every() && slices.Equal(p.tables, want) && p.operations == s.operations():
		return nil
	case !p.ours:
		return fmt.Errorf("publication %q has not the tables and operations that the attributes say, and no trigger made it: alter it, or name another", s.cfg.Publication)
	case p.all != s.every():
		return fmt.Errorf("publication %q cannot change between all tables and some: drop it, or name another", s.cfg.Publication)
	}
	if err := s.identified(ctx, db, want); err != nil {
		return err
	}
	return s.alter(ctx, db)
}

// publication as the server has it.
type publication struct {
	there, all, ours bool
	operations       string
	tables           []int64 // their numbers, in order
}

func (s *source) every() bool { return s.cfg.Tables[0] == everyTable }

// operations are those that are published, as the server writes them.
func (s *source) operations() string {
	var on []string
	for _, o := range operations {
		if s.cfg.reads(o) {
			on = append(on, o)
		}
	}
	return strings.Join(on, ", ")
}

func (s *source) published(ctx context.Context, db *sql.DB) (p publication, err error) {
	var oid int64
	err = db.QueryRowContext(ctx, `SELECT oid::bigint, puballtables, coalesce(obj_description(oid, 'pg_publication'), '') = $2,
		concat_ws(', ', CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' END, CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END)
		FROM pg_publication WHERE pubname = $1`, s.cfg.Publication, madeHere).Scan(&oid, &p.all, &p.ours, &p.operations)
	if errors.Is(err, sql.ErrNoRows) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("look for publication %q: %w", s.cfg.Publication, err)
	}
	p.there = true
	p.tables, err = numbers(ctx, db, "SELECT prrelid::bigint FROM pg_publication_rel WHERE prpubid = $1 ORDER BY 1", oid)
	return p, err
}

func numbers(ctx context.Context, db *sql.DB, query string, args ...any) (out []int64, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("look for tables: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// wanted are the numbers of the tables that shall be published, in order.
func (s *source) wanted(ctx context.Context, db *sql.DB) (out []int64, err error) {
	if s.every() {
		return nil, nil
	}
	for _, t := range s.cfg.Tables {
		var n sql.NullInt64
		if err := db.QueryRowContext(ctx, "SELECT to_regclass($1)::oid::bigint", link.PostgreSQL.Quoted(t)).Scan(&n); err != nil {
			return nil, fmt.Errorf("look for table %q: %w", t, err)
		}
		if !n.Valid {
			return nil, fmt.Errorf("table %q is not there", t)
		}
		out = append(out, n.Int64)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// identified refuses to publish a table whose updates and deletes the server would
// refuse from then on, as it could not say of which row they are.
func (s *source) identified(ctx context.Context, db *sql.DB, tables []int64) error {
	if !s.cfg.reads("update") && !s.cfg.reads("delete") {
		return nil
	}
	const query = `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND ($1 OR c.oid::bigint::text = ANY(string_to_array($2, ',')))
		AND (c.relreplident = 'n' OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)) ORDER BY 1 LIMIT 1`
	var table string
	err := db.QueryRowContext(ctx, query, s.every(), strings.Trim(strings.ReplaceAll(fmt.Sprint(tables), " ", ","), "[]")).Scan(&table)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for tables without a key: %w", err)
	}
	return fmt.Errorf("table %s has no primary key: once it is published, the server refuses its updates and deletes. Give it one, or ALTER TABLE %[1]s REPLICA IDENTITY FULL, or let operations be [insert, truncate]", table)
}

func (s *source) create(ctx context.Context, db *sql.DB, want []int64) error {
	if err := s.identified(ctx, db, want); err != nil {
		return err
	}
	text := "CREATE PUBLICATION " + quoted(s.cfg.Publication)
	if s.every() {
		text += " FOR ALL TABLES"
	} else {
		text += " FOR TABLE " + s.list()
	}
	err := s.exec(ctx, db, text+" WITH (publish = '"+s.operations()+"')", "COMMENT ON PUBLICATION "+quoted(s.cfg.Publication)+" IS '"+madeHere+"'")
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok && (pe.Code == "42710" || pe.Code == "23505") {
		return nil // another made it at the same time
	}
	return err
}

func (s *source) alter(ctx context.Context, db *sql.DB) error {
	name := "ALTER PUBLICATION " + quoted(s.cfg.Publication)
	texts := []string{name + " SET (publish = '" + s.operations() + "')"}
	if !s.every() {
		texts = append(texts, name+" SET TABLE "+s.list())
	}
	return s.exec(ctx, db, texts...)
}

// exec does all or nothing.
func (s *source) exec(ctx context.Context, db *sql.DB, texts ...string) error {
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("make publication %q: %w", s.cfg.Publication, err)
	}
	defer func() { _ = t.Rollback() }()
	for _, text := range texts {
		if _, err := t.ExecContext(ctx, text); err != nil {
			return explain(fmt.Errorf("make publication %q: %w", s.cfg.Publication, err))
		}
	}
	return t.Commit()
}

func (s *source) list() string {
	names := make([]string, len(s.cfg.Tables))
	for i, t := range s.cfg.Tables {
		names[i] = link.PostgreSQL.Quoted(t)
	}
	return strings.Join(names, ", ")
}
