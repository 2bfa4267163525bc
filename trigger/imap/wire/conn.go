// Package wire speaks IMAP4rev1 (RFC 3501, with IDLE, MOVE and UIDPLUS), as far as
// a reader of one mailbox needs it. It takes nothing from a server that it did not
// ask for: lines, literals, lists and waits are bounded. It knows no trigger, and
// nothing of what is in a message.
package wire

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Options of a connection.
type Options struct {
	Address  string
	TLS      *tls.Config // nil: none
	StartTLS bool        // TLS is begun by a command
	User     string
	Password string
	// Timeout bounds each wait for the server, and Literal what of a message it
	// may send at a time.
	Timeout time.Duration
	Literal int64
}

// Conn is a connection that is logged in. One goroutine uses it at a time; after
// an error other than [*Refused] it can only be closed.
type Conn struct {
	o      Options
	c      net.Conn
	in     *reader
	counts *counter
	tags   int
	caps   map[string]bool

	news     bool   // messages have come
	validity uint32 // of the selected mailbox
	leaves   bool   // goodbye is expected

	responses chan *Response // nil until it is logged in
	gone      chan struct{}  // nobody wants responses any more
	ended     chan struct{}
	err       error // of reading, once ended is closed
}

// Refused is the server's no to a command.
type Refused struct{ Kind, Code, Text string }

func (r *Refused) Error() string {
	s := "the server says " + r.Kind
	for _, more := range []string{r.Code, r.Text} {
		if more != "" {
			s += fmt.Sprintf(" %.200q", more)
		}
	}
	return s
}

// Dial connects and logs in.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &Conn{o: o, counts: &counter{Conn: raw}, caps: map[string]bool{}, gone: make(chan struct{}), ended: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Now().Add(-time.Second)) })
	err = c.begin(ctx)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("the server did not answer within %v", o.Timeout)
		}
		return nil, err
	}
	c.responses = make(chan *Response)
	go c.read()
	return c, nil
}

// over has the protocol spoken over a connection.
func (c *Conn) over(conn net.Conn) {
	c.c, c.in = conn, &reader{bufio.NewReaderSize(conn, 16<<10), c.o.Literal}
}

// begin greets, secures the connection and logs in.
func (c *Conn) begin(ctx context.Context) error {
	c.over(c.counts)
	if c.o.TLS != nil && !c.o.StartTLS {
		c.over(tls.Client(c.counts, c.o.TLS))
	}
	greeting, err := c.in.response()
	switch {
	case err != nil:
		return fmt.Errorf("wait for greeting: %w", err)
	case greeting.Tag != "*" || greeting.Kind != "OK": // PREAUTH, too, is not whom we want to be
		return fmt.Errorf("the server greets with %s %.100q", greeting.Kind, greeting.Text)
	}
	c.note(greeting)
	if c.o.StartTLS {
		if err := c.secure(ctx); err != nil {
			return err
		}
	}
	if len(c.caps) == 0 {
		if err := c.ask(ctx); err != nil {
			return err
		}
	}
	if err := c.login(ctx); err != nil {
		return err
	}
	return c.ask(ctx) // there may be more once who asks is known
}

// secure begins TLS. What was said before it is forgotten.
func (c *Conn) secure(ctx context.Context) error {
	if err := c.do(ctx, nil, "STARTTLS"); err != nil {
		return fmt.Errorf("begin TLS: %w", err)
	}
	if c.in.r.Buffered() > 0 {
		return errors.New("begin TLS: the server speaks out of turn")
	}
	conn := tls.Client(c.counts, c.o.TLS)
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("begin TLS: %w", err)
	}
	c.over(conn)
	c.caps = map[string]bool{}
	return nil
}

// ask asks what the server can do.
func (c *Conn) ask(ctx context.Context) error {
	c.caps = map[string]bool{}
	if err := c.do(ctx, nil, "CAPABILITY"); err != nil {
		return fmt.Errorf("ask for capabilities: %w", err)
	}
	return nil
}

// Can reports whether the server has a capability.
func (c *Conn) Can(capability string) bool { return c.caps[capability] }

// News reports whether messages have come since it was asked last.
func (c *Conn) News() bool {
	news := c.news
	c.news = false
	return news
}

// note keeps what may be said at any time.
func (c *Conn) note(x *Response) {
	code, rest, _ := strings.Cut(x.Code, " ")
	switch {
	case x.Kind == "EXISTS":
		c.news = true
	case x.Kind == "CAPABILITY":
		var names []string
		for _, v := range x.Values {
			names = append(names, string(v.Data))
		}
		c.caps = set(names)
	case strings.EqualFold(code, "CAPABILITY"):
		c.caps = set(strings.Fields(rest))
	}
}

func set(names []string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[strings.ToUpper(n)] = true
	}
	return m
}

// read hands over what comes, until the connection ends.
func (c *Conn) read() {
	defer close(c.ended)
	for {
		x, err := c.in.response()
		if err != nil {
			c.err = err
			return
		}
		select {
		case c.responses <- x:
		case <-c.gone:
			c.err = net.ErrClosed
			return
		}
	}
}

// patience is how many timeouts a server may take that goes on sending.
const patience = 10

// next waits for a response as long as something comes.
func (c *Conn) next(ctx context.Context) (*Response, error) {
	if c.responses == nil { // Dial bounds it
		return c.in.response()
	}
	tick := time.NewTicker(c.o.Timeout)
	defer tick.Stop()
	before := c.counts.n.Load()
	for range patience {
		select {
		case x := <-c.responses:
			return x, nil
		case <-c.ended:
			if errors.Is(c.err, io.EOF) {
				return nil, errors.New("the server closed the connection")
			}
			return nil, c.err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		now := c.counts.n.Load()
		if now == before {
			break
		}
		before = now
	}
	return nil, fmt.Errorf("the server did not answer within %v", c.o.Timeout)
}

// Close says goodbye if there is time, and closes the connection.
func (c *Conn) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	select {
	case <-c.ended:
	default:
		if ctx.Err() == nil {
			c.leaves = true
			_ = c.do(ctx, nil, "LOGOUT") // it may have gone
		}
	}
	c.Discard()
}

// Discard closes the connection at once.
func (c *Conn) Discard() {
	close(c.gone)
	_ = c.counts.Close() // of TLS there is nothing to say
	<-c.ended
}

// counter counts what is read, which tells a slow server from one that is silent.
type counter struct {
	net.Conn
	n atomic.Int64
}

// Read implements [net.Conn].
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}
