// Package redisclient opens clients of Redis as bindings use them, and says what
// its errors mean. It knows no class of bindings.
package redisclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
)

// Client is a connection to one server. It implements [binding.Binding] and
// [binding.Checker].
type Client struct {
	options *redis.Options
	ca      string
	db      *redis.Client
}

// New reads the url redis://user@host:port/db, or rediss:// with TLS, and the
// secret, which is the password. It opens nothing. caFile has the authorities to
// trust, in PEM; "": the system's.
func New(s binding.Settings, l binding.Limits, caFile string) (*Client, error) {
	if s.Spec.URL == "" {
		return nil, binding.Wrong("url", "is required, such as redis://redis.example.com:6379")
	}
	o, err := redis.ParseURL(s.Spec.URL)
	if err != nil { // which may show the password
		return nil, binding.Wrong("url", "is not of the form redis://user@host:port/db")
	}
	if p := s.Spec.Secret.Reveal(); p != "" {
		o.Password = p
	}
	o.MaxRetries = -1 // a count that was lost on its way may have been done
	o.PoolSize, o.PoolTimeout = l.MaxCalls, l.MaxWait.Std()
	o.ContextTimeoutEnabled = true
	if o.Protocol == 0 {
		o.Protocol = 2 // with 3, the client looks before each answer for what is told unasked
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = l.Timeout.Std(), l.Timeout.Std(), l.Timeout.Std()
	return &Client{options: o, ca: caFile}, nil
}

// Open implements [binding.Binding].
func (c *Client) Open(ctx context.Context) error {
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return data.As(data.Misuse, err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) || c.options.TLSConfig == nil {
			return data.Errorf(data.Misuse, "caFile: it has no certificate, or the url is not of rediss://")
		}
		c.options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: c.options.TLSConfig.ServerName}
	}
	o := *c.options
	o.Dialer = dialer(&o)
	db := redis.NewClient(&o)
	if err := db.Ping(ctx).Err(); err != nil {
		_ = db.Close()
		return Reason(err)
	}
	c.db = db
	return nil
}

// Close implements [binding.Binding].
func (c *Client) Close() error {
	if c.db == nil {
		return nil
	}
	return c.db.Close()
}

// Check implements [binding.Checker].
func (c *Client) Check(ctx context.Context) error {
	db, err := c.DB()
	if err != nil {
		return err
	}
	return Reason(db.Ping(ctx).Err())
}

// DB returns the client itself, once it is open.
func (c *Client) DB() (*redis.Client, error) {
	if c.db == nil {
		return nil, data.Errorf(data.Away, "it is not open")
	}
	return c.db, nil
}

// Options are those of a further client of the same server, once it is open.
func (c *Client) Options() (*redis.Options, error) {
	if _, err := c.DB(); err != nil {
		return nil, err
	}
	o := *c.options
	return &o, nil
}

// Reason says what an error means.
func Reason(err error) error {
	var reply redis.Error
	switch {
	case err == nil || data.ReasonOf(err) != 0:
		return err
	case errors.Is(err, redis.Nil):
		return data.NotFound
	case errors.Is(err, redis.ErrPoolTimeout):
		return data.As(data.Busy, err)
	case errors.Is(err, redis.ErrClosed):
		return data.As(data.Away, err)
	case !errors.As(err, &reply):
		return data.Classify(err)
	}
	word, _, _ := strings.Cut(reply.Error(), " ")
	switch word {
	case "NOAUTH", "WRONGPASS", "NOPERM":
		return data.As(data.Denied, err)
	case "OOM", "READONLY", "LOADING", "CLUSTERDOWN", "MASTERDOWN", "BUSY", "TRYAGAIN", "MISCONF":
		return data.As(data.Away, err)
	}
	return data.As(data.Misuse, err)
}
