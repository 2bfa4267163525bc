// Package link is how the triggers of databases reach one: the url, the password,
// TLS and what is peculiar to PostgreSQL, MySQL, MariaDB and SQLite in a
// statement. It knows no trigger.
package link

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Address is a database and how it is reached.
type Address struct {
	Dialect
	timeout time.Duration
	tls     *secure.TLS

	pg   *pgx.ConnConfig
	my   *mysql.Config
	host string
	path string // of SQLite
}

// Options are what the attributes of a trigger say of a database.
type Options struct {
	Timeout time.Duration // bounds connecting and each answer
	TLS     *secure.TLS
}

const forms = "such as postgres://user@db.example.com/shop, mysql://user@db.example.com/shop or sqlite:/data/shop.db"

// Parse reads the url, user and password of a trigger. Its errors do not show
// the url, which may hold a password.
func Parse(s trigger.Settings, o Options) (*Address, error) {
	a, err := parse(s, o)
	if err != nil {
		return nil, &trigger.SpecError{Err: document.Under("url", err)}
	}
	a.timeout, a.tls = o.Timeout, o.TLS
	return a, nil
}

func parse(s trigger.Settings, o Options) (*Address, error) {
	text := s.Spec.URL
	scheme, _, _ := strings.Cut(text, ":")
	if o.TLS != nil && scheme != "mysqls" {
		return nil, errors.New("the attribute tls is for mysqls://; a url of PostgreSQL has sslmode, sslrootcert and the like")
	}
	switch scheme {
	case "postgres", "postgresql":
		return parsePostgreSQL(s)
	case "mysql", "mysqls", "mariadb":
		return parseMySQL(s)
	case "sqlite":
		return parseSQLite(s)
	case "":
		return nil, errors.New("is required, " + forms)
	}
	return nil, errors.New("is none of a database, " + forms)
}

func parsePostgreSQL(s trigger.Settings) (*Address, error) {
	c, err := pgx.ParseConfig(s.Spec.URL)
	if err != nil { // which may show the password
		return nil, errors.New("is not of the form postgres://user@host:port/database?sslmode=require")
	}
	if s.Spec.Username != "" {
		c.User = s.Spec.Username
	}
	if p := s.Spec.Password.Reveal(); p != "" {
		c.Password = p
	}
	p := c.RuntimeParams
	if p["application_name"] == "" {
		p["application_name"] = strings.Trim("myelin "+s.Function+" "+s.Name, " ")
	}
	p["timezone"], p["datestyle"], p["extra_float_digits"] = "UTC", "ISO, MDY", "3" // texts of values are exact
	return &Address{Dialect: PostgreSQL, pg: c}, nil
}

func parseMySQL(s trigger.Settings) (*Address, error) {
	u, err := url.Parse(s.Spec.URL)
	if err != nil || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("is not of the form mysql://user@host:port/database, or mysqls:// with TLS")
	}
	c := mysql.NewConfig()
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	c.Net, c.Addr, c.DBName = "tcp", net.JoinHostPort(u.Hostname(), port), strings.Trim(u.Path, "/")
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	if s.Spec.Username != "" {
		c.User = s.Spec.Username
	}
	if p := s.Spec.Password.Reveal(); p != "" {
		c.Passwd = p
	}
	if c.User == "" || c.DBName == "" || strings.Contains(c.DBName, "/") {
		return nil, errors.New("names no user or no database: it is of the form mysql://user@host:port/database")
	}
	c.Loc, c.ParseTime, c.ClientFoundRows = time.UTC, true, true
	c.MaxAllowedPacket = 0
	c.Logger = &mysql.NopLogger{}
	c.Params = map[string]string{"time_zone": "'+00:00'", "sql_mode": "'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"}
	a := &Address{Dialect: MySQL, my: c}
	if u.Scheme == "mysqls" {
		a.host = u.Hostname()
	}
	return a, nil
}

func parseSQLite(s trigger.Settings) (*Address, error) {
	u, err := url.Parse(s.Spec.URL)
	if err != nil || u.Host != "" || u.RawQuery != "" || !filepath.IsAbs(u.Path) {
		return nil, errors.New("is not of the form sqlite:/path/of/the/file.db")
	}
	return &Address{Dialect: SQLite, path: filepath.Clean(u.Path)}, nil
}

// Open returns the database, once it answers.
func (a *Address) Open(ctx context.Context) (*sql.DB, error) {
	db, err := a.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(2)
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("connect to database: %w", err)
	}
	return db, nil
}

func (a *Address) open() (*sql.DB, error) {
	switch {
	case a.pg != nil:
		c := a.pg.Copy()
		c.ConnectTimeout = a.timeout
		return stdlib.OpenDB(*c), nil
	case a.my != nil:
		c := a.my.Clone()
		c.Timeout, c.ReadTimeout, c.WriteTimeout = a.timeout, 2*a.timeout, 2*a.timeout
		if a.host != "" {
			var err error
			if c.TLS, err = a.files().For(a.host); err != nil {
				return nil, err
			}
		}
		connector, err := mysql.NewConnector(c)
		if err != nil {
			return nil, fmt.Errorf("connect to database: %w", err)
		}
		return sql.OpenDB(connector), nil
	}
	q := url.Values{"mode": {"rw"}, "_txlock": {"immediate"}, "_time_format": {"sqlite"},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", a.timeout.Milliseconds())}}
	u := url.URL{Scheme: "file", Path: a.path, RawQuery: q.Encode()}
	return sql.Open("sqlite", u.String())
}

func (a *Address) files() secure.TLS {
	if a.tls == nil {
		return secure.TLS{}
	}
	return *a.tls
}

// Listens reports whether the database tells of changes.
func (a *Address) Listens() bool { return a.pg != nil }

// Listen hears what is told on a channel of PostgreSQL until ctx is done: each
// word, and that it has begun to listen, is a call of heard. It returns why it
// ended.
func (a *Address) Listen(ctx context.Context, channel string, heard func()) error {
	c := a.pg.Copy()
	c.ConnectTimeout = a.timeout
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return fmt.Errorf("connect to listen: %w", err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(end)
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return fmt.Errorf("listen on %q: %w", channel, err)
	}
	for {
		heard()
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("listen on %q: %w", channel, err)
		}
	}
}

// Replicate opens a connection of PostgreSQL for its replication protocol. Its
// database is the address's own. parameters are set for the connection.
func (a *Address) Replicate(ctx context.Context, parameters map[string]string) (*pgconn.PgConn, error) {
	c := a.pg.Config.Copy()
	c.ConnectTimeout = a.timeout
	maps.Copy(c.RuntimeParams, parameters)
	c.RuntimeParams["replication"] = "database"
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect to replicate: %w", err)
	}
	return conn, nil
}
