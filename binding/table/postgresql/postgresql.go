// Package postgresql is the binding of class table that keeps tables in
// PostgreSQL. It knows how PostgreSQL is reached and what its errors mean; the
// rest is the engine's.
package postgresql

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/table"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
)

// Kind is the binding's name in a set.
const Kind = "table/postgresql"

// Config is the binding's attributes. Its url is
// postgres://user@host:port/database, with sslmode and the like as parameters,
// and its secret the password.
type Config struct {
	binding.Limits
}

func defaults() Config {
	c := Config{binding.DefaultLimits()}
	c.MaxCalls = 10
	return c
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	return es.Err()
}

// Factory makes PostgreSQL bindings.
func Factory() binding.Factory {
	return component.Define(Kind, "Keeps tables in PostgreSQL.", defaults, build)
}

type bound struct {
	*table.DB
	binding.Limits
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	if !strings.HasPrefix(s.Spec.URL, "postgres://") && !strings.HasPrefix(s.Spec.URL, "postgresql://") {
		return nil, binding.Wrong("url", "is required, such as postgres://user@db.example.com/orders")
	}
	to, err := pgx.ParseConfig(s.Spec.URL)
	if err != nil { // which may show the password
		return nil, binding.Wrong("url", "is not of the form postgres://user@host:port/database?sslmode=require")
	}
	if p := s.Spec.Secret.Reveal(); p != "" {
		to.Password = p
	}
	if to.RuntimeParams["application_name"] == "" {
		to.RuntimeParams["application_name"] = strings.Trim("myelin "+s.Function+" "+s.Name, " ")
	}
	connect := func() (*sql.DB, error) { return stdlib.OpenDB(*to), nil }
	return &bound{table.New(dialect, c.MaxCalls, connect), c.Limits}, nil
}

var dialect = table.Dialect{
	Syntax: table.Syntax{Dollar: true, Nested: true, Numbers: true},
	Quote:  `"`, Params: 20000, Reason: reason, Copy: copyRows,
	Text: func(columnType string) bool { return columnType != "BYTEA" },
}

// copyRows uses COPY, which parses and plans nothing for each row. There are tables
// that it does not fill, such as views and those with policies for rows, and values
// that have only a text in the column's type: these are left to a statement.
func copyRows(ctx context.Context, conn *sql.Conn, table, columns []string, rows [][]any) (done bool, err error) {
	err = conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return errors.ErrUnsupported
		}
		_, err := c.Conn().CopyFrom(ctx, pgx.Identifier(table), columns, pgx.CopyFromRows(rows))
		return err
	})
	var e *pgconn.PgError
	switch {
	case err == nil || ctx.Err() != nil:
		return true, err
	case errors.As(err, &e): // 57014: a value could not be written, and so we took all back
		return e.Code != "0A000" && e.Code != "42809" && e.Code != "57014", err
	}
	return data.ReasonOf(data.Classify(err)) != 0, err
}

// reason says what an error of PostgreSQL means, by its class.
func reason(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var dial *pgconn.ConnectError
		if errors.As(err, &dial) && data.ReasonOf(data.Classify(err)) == 0 {
			return data.As(data.Away, err)
		}
		return err
	}
	switch {
	case e.Code == "57014": // the statement was cancelled
		return data.As(data.Timeout, err)
	case e.Code == "23505", e.Code == "23P01", e.Code == "42P07", e.Code == "42710", // the last two: a table or type that is there already
		strings.HasPrefix(e.Code, "40"), e.Code == "55P03":
		return data.As(data.Conflict, err)
	case e.Code == "53300":
		return data.As(data.Busy, err)
	case strings.HasPrefix(e.Code, "28"), e.Code == "42501", e.Code == "25006":
		return data.As(data.Denied, err)
	case strings.HasPrefix(e.Code, "08"), strings.HasPrefix(e.Code, "57P"), strings.HasPrefix(e.Code, "53"), strings.HasPrefix(e.Code, "58"):
		return data.As(data.Away, err)
	}
	return data.As(data.Misuse, err)
}
