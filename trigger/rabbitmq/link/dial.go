// Package link is what the trigger and the binding of RabbitMQ have in common:
// where brokers are, how a connection is made, and how something is published so
// that the broker confirms it. It knows no queue that is consumed and no engine.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// FrameSize is the broker's own default, and the most that a client asks for.
const FrameSize = 128 << 10

// Dialer opens connections to the first of the hosts that takes one.
type Dialer struct {
	To             Address
	TLS            func() (*tls.Config, error) // nil: no TLS
	ConnectTimeout time.Duration               // of each host
	Heartbeat      time.Duration
	Name           string // of the connection, as the broker lists it
}

// Dial opens a connection.
func (d *Dialer) Dial(ctx context.Context) (*amqp.Connection, error) {
	var errs []error
	for _, host := range d.To.Hosts {
		c, err := d.dialHost(ctx, host)
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (d *Dialer) dialHost(ctx context.Context, host string) (*amqp.Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, d.ConnectTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	// The handshakes below know no ctx.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	c, err := d.shake(ctx, conn, host)
	if !stop() && err == nil {
		err = ctx.Err()
		_ = c.CloseDeadline(time.Now())
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to RabbitMQ at %s: %w", host, d.explain(err))
	}
	return c, nil
}

func (d *Dialer) shake(ctx context.Context, conn net.Conn, host string) (*amqp.Connection, error) {
	if d.TLS != nil {
		conf, err := d.TLS()
		if err != nil {
			return nil, err
		}
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(host)
		}
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		conn = secure
	}
	password := d.To.Password
	if d.To.User == "guest" && password == "" {
		password = "guest"
	}
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(d.Name)
	return amqp.Open(conn, amqp.Config{
		SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: d.To.User, Password: password}},
		Vhost:      d.To.VHost,
		Heartbeat:  d.Heartbeat,
		FrameSize:  FrameSize,
		Locale:     "en_US",
		Properties: properties,
	})
}

// explain says what the broker's refusal means.
func (d *Dialer) explain(err error) error {
	var e *amqp.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case amqp.AccessRefused:
		return fmt.Errorf("user %q, its password or its access to the virtual host %q is refused: %w", d.To.User, d.To.VHost, err)
	case amqp.NotAllowed:
		return fmt.Errorf("the virtual host %q is not there, or not for user %q: %w", d.To.VHost, d.To.User, err)
	}
	return err
}

// Discard ends a connection without waiting for the broker.
func Discard(c *amqp.Connection) { _ = c.CloseDeadline(time.Unix(1, 0)) }
