package link

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/trigger/secure"
)

// Largest is the most bytes that a packet of MQTT can have.
const Largest = 268435455

// Dialer makes connections to one broker. Any goroutine may use it, and its
// fields are not changed once it is used.
type Dialer struct {
	To        Address
	TLS       secure.TLS
	Version   int           // as the protocol numbers it; 0: 5, or 4 if the broker knows no other
	KeepAlive time.Duration // how long a connection may be silent
	Most      int64         // bytes of a message that is read
	Timeout   time.Duration // of each write
	Log       *slog.Logger

	old atomic.Bool // the broker does not know version 5
}

// Hello is what a client of that identifier says, who wants no session.
func (d *Dialer) Hello(client string) Hello {
	return Hello{Client: client, User: d.To.User, Password: d.To.Password, Clean: true,
		KeepAlive: uint16(min(d.KeepAlive/time.Second, math.MaxUint16)), Most: uint32(min(d.Most+64<<10, Largest))}
}

// Dial connects with the version that is wanted, or that the broker knows.
func (d *Dialer) Dial(ctx context.Context, h Hello) (*Conn, error) {
	if d.Version == 4 || d.old.Load() {
		return d.With(ctx, V3{}, h)
	}
	c, err := d.With(ctx, V5{}, h)
	if err == nil || d.Version == 5 || ctx.Err() != nil {
		return c, err
	}
	var no *Refusal
	if !errors.Is(err, ErrOld) && !errors.Is(err, io.EOF) && (!errors.As(err, &no) || no.Code != OldVersion) {
		return nil, err
	}
	c, old := d.With(ctx, V3{}, h)
	if old != nil {
		return nil, errors.Join(err, old)
	}
	d.Log.Info("the broker does not know MQTT 5: using 3.1.1", "broker", d.To.Host)
	d.old.Store(true)
	return c, nil
}

// With connects with one version.
func (d *Dialer) With(ctx context.Context, v Codec, h Hello) (*Conn, error) {
	nc, err := d.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to MQTT broker: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	c, err := Enter(nc, v, h, d.Timeout)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("connect to MQTT broker at %s: %w", d.To.Host, d.explain(h.Client, err))
	}
	return c, nil
}

func (d *Dialer) open(ctx context.Context) (net.Conn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.To.Host)
	if err != nil || !d.To.Secure {
		return nc, err
	}
	host, _, _ := net.SplitHostPort(d.To.Host)
	conf, err := d.TLS.For(host)
	if err == nil {
		secured := tls.Client(nc, conf)
		if err = secured.HandshakeContext(ctx); err == nil {
			return secured, nil
		}
		err = fmt.Errorf("tls: %w", err)
	}
	_ = nc.Close()
	return nil, err
}

// explain says what a refusal to let in means.
func (d *Dialer) explain(client string, err error) error {
	var no *Refusal
	switch {
	case !errors.As(err, &no):
		return err
	case no.Denied():
		return fmt.Errorf("user %q or its password is refused: %w", d.To.User, err)
	case no.Code == 0x85:
		return fmt.Errorf("the client identifier %q is refused: %w", client, err)
	}
	return err
}

// Unnamed is an identifier for a connection without a session, which begins as
// that of its owner.
func Unnamed(owner string) string { return owner + "-out-" + rand.Text()[:8] }
