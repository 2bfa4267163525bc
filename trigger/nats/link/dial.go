package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Dialer opens connections. It holds none.
type Dialer struct {
	opts  Options
	to    address
	token string
	name  string // of the connection, as the server lists it
	log   *slog.Logger
}

// New checks where and as whom to connect; it opens nothing.
func New(s trigger.Settings, o Options) (*Dialer, error) {
	to, err := parseURL(s.Spec.URL)
	if err != nil {
		return nil, err
	}
	d := &Dialer{opts: o, to: to, token: s.Spec.Secret.Reveal(), log: s.Log, name: strings.Trim("myelin "+s.Function+" "+s.Name, " ")}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if to.password != "" || to.user != "" {
		d.log.Warn("the url has a user or token, which is shown to whoever may see the function; the fields password and secret are not")
	}
	if s.Spec.Username != "" {
		d.to.user, d.to.password = s.Spec.Username, ""
	}
	if p := s.Spec.Password.Reveal(); p != "" {
		d.to.password = p
	}
	if d.to.user != "" && d.to.password == "" && s.Spec.Username == "" { // nats://token@host
		d.token, d.to.user = d.to.user, ""
	}
	ways := 0
	for _, v := range []string{d.to.user, d.token, o.CredentialsFile, o.NKeyFile} {
		if v != "" {
			ways++
		}
	}
	switch {
	case ways > 1:
		return nil, errors.New("username, secret (a token), credentialsFile and nkeyFile exclude each other")
	case d.to.password != "" && d.to.user == "":
		return nil, errors.New("a password needs the trigger's username; a token is the trigger's secret")
	}
	return d, nil
}

// Conn is a connection that is not made anew when it is lost.
type Conn struct {
	*nats.Conn
	lost chan struct{}

	mu  sync.Mutex
	why error
}

// Lost is closed when the connection is, for whatever reason.
func (c *Conn) Lost() <-chan struct{} { return c.lost }

// Why says why it is lost.
func (c *Conn) Why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch last := c.LastError(); {
	case c.why != nil:
		return fmt.Errorf("lost NATS: %w", c.why)
	case last == nil, errors.Is(last, io.EOF): // which to an engine is an end in order
		return errors.New("lost NATS: the connection was closed")
	default:
		return fmt.Errorf("lost NATS: %w", last)
	}
}

// Close ends the connection and waits for that.
func (c *Conn) Close() {
	c.Conn.Close()
	<-c.lost
}

// Sync waits until the server has taken all that was sent, and done what it
// asks. A permission that lacks is an error here.
func (c *Conn) Sync(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel := context.WithTimeout(ctx, syncTime)
		defer cancel()
		ctx = limited
	}
	if err := c.FlushWithContext(ctx); err != nil {
		if c.IsClosed() {
			return c.Why()
		}
		return err
	}
	if err := c.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return err
	}
	return nil
}

// syncTime is the most that Sync waits if nobody says otherwise.
const syncTime = 10 * time.Second

// hear notes what the server complains of. A permission that lacks ends the
// connection: what was asked for will not come.
func (c *Conn) hear(nc *nats.Conn, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	c.mu.Lock()
	c.why = err
	c.mu.Unlock()
	nc.Close()
}

// Forbidden is the permission that this user lacks, if that is why the
// connection was lost.
func (c *Conn) Forbidden() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// Dial opens a connection to the first of the servers that takes one.
func (d *Dialer) Dial(ctx context.Context) (*Conn, error) {
	dial := &dialing{ctx: ctx, timeout: d.opts.ConnectTimeout.Std(), patience: 3 * d.opts.PingInterval.Std()}
	defer dial.end()
	c := &Conn{lost: make(chan struct{})}
	opts, err := d.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, nats.SetCustomDialer(dial),
		nats.ClosedHandler(func(*nats.Conn) { close(c.lost) }),
		nats.ErrorHandler(func(nc *nats.Conn, _ *nats.Subscription, err error) { c.hear(nc, err) }))
	nc, err := nats.Connect(strings.Join(d.to.servers, ","), opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", strings.Join(d.to.servers, ","), d.explain(err))
	}
	c.Conn = nc
	if ctx.Err() != nil {
		c.Close()
		return nil, fmt.Errorf("connect to NATS: %w", ctx.Err())
	}
	return c, nil
}

func (d *Dialer) options() ([]nats.Option, error) {
	o := d.opts
	opts := []nats.Option{nats.Name(d.name), nats.NoReconnect(), nats.Timeout(o.ConnectTimeout.Std()), nats.PingInterval(o.PingInterval.Std()),
		nats.MaxPingsOutstanding(2), nats.DrainTimeout(o.ConnectTimeout.Std())}
	if o.InboxPrefix != "" {
		opts = append(opts, nats.CustomInboxPrefix(o.InboxPrefix))
	}
	if o.TLS != (secure.TLS{}) {
		c, err := o.TLS.Config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, nats.Secure(c))
	}
	switch {
	case o.CredentialsFile != "":
		opts = append(opts, nats.UserCredentials(o.CredentialsFile))
	case o.NKeyFile != "":
		key, err := nats.NkeyOptionFromSeed(o.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read nkeyFile: %w", err)
		}
		opts = append(opts, key)
	case d.token != "":
		opts = append(opts, nats.Token(d.token))
	case d.to.user != "":
		opts = append(opts, nats.UserInfo(d.to.user, d.to.password))
	}
	return opts, nil
}

// explain says what a failure to connect means.
func (d *Dialer) explain(err error) error {
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("no server takes connections there: %w", err)
	case !errors.Is(err, nats.ErrAuthorization) && !errors.Is(err, nats.ErrAuthExpired) && !errors.Is(err, nats.ErrAuthRevoked):
		return err
	case d.opts.CredentialsFile != "":
		return fmt.Errorf("the credentials in %s are refused: %w", d.opts.CredentialsFile, err)
	case d.opts.NKeyFile != "":
		return fmt.Errorf("the nkey in %s is refused: %w", d.opts.NKeyFile, err)
	case d.token != "":
		return fmt.Errorf("the token is refused: %w", err)
	case d.to.user != "":
		return fmt.Errorf("user %q or its password is refused: %w", d.to.user, err)
	}
	return fmt.Errorf("the server wants a user, a token or credentials: %w", err)
}

// dialing opens the sockets of one Connect, which knows no ctx, and closes them
// when ctx ends before it.
type dialing struct {
	ctx               context.Context
	timeout, patience time.Duration
	stops             []func() bool
}

// Dial implements [nats.CustomDialer].
func (d *dialing) Dial(network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: d.timeout}).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.stops = append(d.stops, context.AfterFunc(d.ctx, func() { _ = c.Close() }))
	return &socket{Conn: c, patience: d.patience}, nil
}

func (d *dialing) end() {
	for _, stop := range d.stops {
		stop()
	}
}

// socket gives up a write that the server does not take: the client holds its
// lock meanwhile, and could not even be closed.
type socket struct {
	net.Conn
	patience time.Duration
}

func (s *socket) Write(b []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(s.patience)); err != nil {
		return 0, err
	}
	return s.Conn.Write(b)
}
