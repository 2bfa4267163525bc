// Package link is what triggers of Redis have in common: where and as whom to
// connect, what a refusal means, and a desk that settles many entries with one
// command. It knows neither streams nor lists, and no engine.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Options are the attributes that say how to connect. Address, user and password
// are the trigger's own url, username and password.
type Options struct {
	// DB is the number of the database; it goes before that of the url.
	DB *int `json:"db,omitempty"`
	// ConnectTimeout bounds each attempt to connect, Timeout each command.
	// Default 5s.
	ConnectTimeout quantity.Duration `json:"connectTimeout,omitempty"`
	Timeout        quantity.Duration `json:"timeout,omitempty"`
	TLS            *secure.TLS       `json:"tls,omitempty"`
}

// Defaults are the options where the spec says nothing.
func Defaults() Options {
	return Options{ConnectTimeout: quantity.Duration(5 * time.Second), Timeout: quantity.Duration(5 * time.Second)}
}

// Check reports the options that cannot be kept to.
func (o *Options) Check(es *document.Errors) {
	AtLeast(es, "connectTimeout", o.ConnectTimeout, time.Millisecond)
	AtLeast(es, "timeout", o.Timeout, time.Millisecond)
	if o.DB != nil && *o.DB < 0 {
		es.Add("db", "is %d, expected 0 or more", *o.DB)
	}
	if o.TLS != nil {
		o.TLS.Check(es)
	}
}

// AtLeast reports a time that is too short.
func AtLeast(es *document.Errors, field string, d quantity.Duration, least time.Duration) {
	if d.Std() < least {
		es.Add(field, "is %v, expected at least %v", d, least)
	}
}

// Server is where to connect, and as whom. It holds no connection.
type Server struct {
	Host           string // and port
	Secure         bool
	User, Password string
	DB             int
	Options        Options
}

// New checks what the configuration alone cannot tell.
func New(s trigger.Settings, o Options) (*Server, error) {
	to, err := parseURL(s.Spec.URL)
	if err != nil {
		return nil, err
	}
	if to.Password != "" && s.Log != nil {
		s.Log.Warn("the url has a password, which is shown to whoever may see the function; the field password is not")
	}
	if s.Spec.Username != "" {
		to.User = s.Spec.Username
	}
	if p := s.Spec.Password.Reveal(); p != "" {
		to.Password = p
	}
	if o.DB != nil {
		to.DB = *o.DB
	}
	if to.Secure == (o.TLS == nil) {
		if o.TLS != nil {
			return nil, errors.New("tls: is only for an url that begins with rediss://")
		}
		o.TLS = &secure.TLS{}
	}
	to.Options = o
	return to, nil
}

// parseURL reads redis://user:password@host:port/db. All but the scheme may be
// left out. Its errors do not show the url, which may hold a password.
func parseURL(s string) (*Server, error) {
	if s == "" {
		return nil, errors.New("url: is required, such as redis://redis.example.com:6379")
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("url: is none: a special character in user or password is written as %40 is for @")
	}
	if u.Scheme != "redis" && u.Scheme != "rediss" {
		return nil, errors.New("url: begins with neither redis:// nor rediss://")
	}
	if u.RawQuery != "" {
		return nil, errors.New("url: has a query; what it would say is said by attributes such as timeout and tls")
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "6379"
	}
	a := &Server{Host: net.JoinHostPort(host, port), Secure: u.Scheme == "rediss", User: u.User.Username()}
	a.Password, _ = u.User.Password()
	if db := strings.Trim(u.Path, "/"); db != "" {
		if a.DB, err = strconv.Atoi(db); err != nil || a.DB < 0 {
			return nil, fmt.Errorf("url: the database %q is no number", db)
		}
	}
	return a, nil
}

// Client makes a client, which connects when it is used. It tries nothing
// again: what a command whose answer was lost has done is for its caller to
// find out. name is shown to who lists the server's clients; wait is how long a
// command may block at the server, beyond the timeout of each; conns are the most
// connections.
func (s *Server) Client(name string, wait time.Duration, conns int) (*redis.Client, error) {
	var secure *tls.Config
	if s.Options.TLS != nil {
		host, _, _ := net.SplitHostPort(s.Host)
		var err error
		if secure, err = s.Options.TLS.For(host); err != nil {
			return nil, err
		}
	}
	redis.SetLogger(silent{}) // the library has one for all; what goes wrong is returned
	timeout := s.Options.Timeout.Std()
	return redis.NewClient(&redis.Options{
		Addr: s.Host, Username: s.User, Password: s.Password, DB: s.DB, TLSConfig: secure,
		OnConnect: func(ctx context.Context, c *redis.Conn) error {
			_ = c.ClientSetName(ctx, clientName(name)).Err() // for who looks; not every user may
			return nil
		},
		Protocol: 2, MaxRetries: -1, DialerRetries: 1, DialTimeout: s.Options.ConnectTimeout.Std(),
		ReadTimeout: wait + timeout, WriteTimeout: timeout, PoolSize: conns, DisableIdentity: true, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}), nil
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// clientName is a name without what CLIENT SETNAME refuses.
func clientName(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
}

// Explain says what a refusal to let in means.
func (s *Server) Explain(err error) error {
	var e redis.Error
	if !errors.As(err, &e) {
		return err
	}
	for _, prefix := range []string{"WRONGPASS", "NOAUTH", "ERR AUTH", "ERR invalid password"} {
		if strings.HasPrefix(e.Error(), prefix) {
			return fmt.Errorf("user %q or its password is refused: %w", s.User, err)
		}
	}
	return err
}

// Logger is a log that is there.
func Logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
