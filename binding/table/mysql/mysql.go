// Package mysql is the binding of class table that keeps tables in MySQL or
// MariaDB. It knows how they are reached and what their errors mean; the rest is
// the engine's.
package mysql

import (
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	lib "github.com/go-sql-driver/mysql"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/table"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Kind is the binding's name in a set. Alias is its other one.
const (
	Kind  = "table/mysql"
	Alias = "table/mariadb"
)

// Config is the binding's attributes. Its url is
// mysql://user@host:port/database, or mysqls:// with TLS, and its secret the
// password.
type Config struct {
	binding.Limits
	// TLS says how a server of mysqls:// is known, and how it knows this client.
	TLS secure.TLS `json:"tls,omitzero"`
}

func defaults() Config {
	c := Config{Limits: binding.DefaultLimits()}
	c.MaxCalls = 10
	return c
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	c.TLS.Check(&es)
	return es.Err()
}

// Factory makes MySQL bindings.
func Factory() binding.Factory {
	return component.Define(Kind, "Keeps tables in MySQL or MariaDB.", defaults, build).Alias(Alias)
}

type bound struct {
	*table.DB
	binding.Limits
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	to, secured, err := parseURL(s.Spec.URL)
	if err != nil {
		return nil, err
	}
	if !secured && c.TLS != (secure.TLS{}) {
		return nil, binding.Wrong("attributes.tls", "is only for an url that begins with mysqls://")
	}
	if p := s.Spec.Secret.Reveal(); p != "" {
		to.Passwd = p
	}
	tune(to, c.Timeout.Std())
	connect := func() (*sql.DB, error) {
		own := to.Clone()
		if secured {
			host, _, _ := net.SplitHostPort(to.Addr)
			if own.TLS, err = c.TLS.For(host); err != nil {
				return nil, data.As(data.Misuse, err)
			}
		}
		connector, err := lib.NewConnector(own)
		if err != nil {
			return nil, data.As(data.Misuse, err)
		}
		return sql.OpenDB(connector), nil
	}
	return &bound{table.New(dialect, c.MaxCalls, connect), c.Limits}, nil
}

// parseURL reads mysql://user@host:port/database. Its errors do not show the
// url, which may hold a password.
func parseURL(text string) (to *lib.Config, secured bool, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "mysql" && u.Scheme != "mysqls" || u.Hostname() == "" {
		return nil, false, binding.Wrong("url", "is required, such as mysql://user@db.example.com/orders, or mysqls:// with TLS")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, false, binding.Wrong("url", "has more than a user, a host and a database; what it would say is said by attributes such as tls and timeout")
	}
	to = lib.NewConfig()
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	to.Net, to.Addr, to.DBName = "tcp", net.JoinHostPort(u.Hostname(), port), strings.Trim(u.Path, "/")
	to.User = u.User.Username()
	to.Passwd, _ = u.User.Password()
	if to.User == "" || to.DBName == "" || strings.Contains(to.DBName, "/") {
		return nil, false, binding.Wrong("url", "names no user or no database: it is of the form mysql://user@host:port/database")
	}
	return to, u.Scheme == "mysqls", nil
}

// slack is how much longer than the longest call an answer is waited for, so
// that a call's own deadline comes first.
const slack = 5 * time.Second

// tune makes all servers the same to a function: times are of UTC, a value that
// does not fit is an error, a backslash is what the engine takes it for, and an
// update counts the rows that it found. Values go to the server apart from the
// text. What nobody waits for any more is ended by the server, too; the two
// have different words for it, which stand in comments that only one reads.
func tune(to *lib.Config, timeout time.Duration) {
	to.Loc, to.ParseTime, to.ClientFoundRows = time.UTC, true, true
	to.Timeout, to.ReadTimeout, to.WriteTimeout = timeout, timeout+slack, timeout+slack
	to.MaxAllowedPacket = 0 // as the server has it
	to.Logger = &lib.NopLogger{}
	to.Params = map[string]string{
		"time_zone": fmt.Sprintf("'+00:00' /*M!100101 , max_statement_time=%g */ /*!50708 , max_execution_time=%d */", timeout.Seconds(), max(1, timeout.Milliseconds())),
		"sql_mode":  "'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
	}
}
