package wire

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// send writes a command.
func (c *Conn) send(text string) (tag string, err error) {
	c.tags++
	tag = fmt.Sprintf("m%d", c.tags)
	return tag, c.write(tag + " " + text)
}

func (c *Conn) write(line string) error {
	if c.responses != nil {
		if err := c.c.SetWriteDeadline(time.Now().Add(c.o.Timeout)); err != nil {
			return err
		}
	}
	if _, err := c.c.Write([]byte(line + "\r\n")); err != nil {
		return fmt.Errorf("send command: %w", err)
	}
	return nil
}

// do sends a command and hands what data comes to each, until it is answered.
func (c *Conn) do(ctx context.Context, each func(*Response) error, text string) error {
	tag, err := c.send(text)
	if err != nil {
		return err
	}
	return c.answer(ctx, tag, each)
}

// answer waits for the end of a command.
func (c *Conn) answer(ctx context.Context, tag string, each func(*Response) error) error {
	end := time.Now().Add(patience * c.o.Timeout)
	for {
		x, err := c.next(ctx)
		if err != nil {
			return err
		}
		c.note(x)
		switch {
		case time.Now().After(end):
			return fmt.Errorf("the server did not come to an end within %v", patience*c.o.Timeout)
		case x.Tag == tag && x.Kind == "OK" && each != nil:
			return each(x)
		case x.Tag == tag && x.Kind == "OK":
			return nil
		case x.Tag == tag:
			return &Refused{x.Kind, x.Code, x.Text}
		case x.Tag != "*":
			return fmt.Errorf("the server answers %.20q, which was not asked", x.Tag)
		case x.Kind == "BYE" && !c.leaves:
			return fmt.Errorf("the server ends the connection: %.200q", x.Text)
		case each != nil:
			if err := each(x); err != nil {
				return err
			}
		}
	}
}

// more waits until the server wants what belongs to a command.
func (c *Conn) more(ctx context.Context, tag string) error {
	end := time.Now().Add(patience * c.o.Timeout)
	for {
		x, err := c.next(ctx)
		if err != nil {
			return err
		}
		c.note(x)
		switch {
		case time.Now().After(end):
			return fmt.Errorf("the server did not come to an end within %v", patience*c.o.Timeout)
		case x.Tag == "+":
			return nil
		case x.Tag == tag && x.Kind != "OK":
			return &Refused{x.Kind, x.Code, x.Text}
		case x.Tag != "*" || x.Kind == "BYE":
			return fmt.Errorf("the server answers %.20q %.20q, and was to ask for more", x.Tag, x.Kind)
		}
	}
}

// ErrLogin says that the server does not know the user, or not by this password.
var ErrLogin = errors.New("the server refuses the user or its password")

// login says who asks.
func (c *Conn) login(ctx context.Context) (err error) {
	switch {
	case c.Can("AUTH=PLAIN"):
		var tag string
		if tag, err = c.send("AUTHENTICATE PLAIN"); err == nil {
			err = c.more(ctx, tag)
		}
		if err == nil {
			err = c.write(base64.StdEncoding.EncodeToString([]byte("\x00" + c.o.User + "\x00" + c.o.Password)))
		}
		if err == nil {
			err = c.answer(ctx, tag, nil)
		}
	case c.Can("LOGINDISABLED"):
		return errors.New("log in: the server takes no password here; it may want TLS")
	default:
		err = c.do(ctx, nil, "LOGIN "+quote(c.o.User)+" "+quote(c.o.Password))
	}
	if no, ok := errors.AsType[*Refused](err); ok && no.Kind == "NO" {
		return fmt.Errorf("%w: %q", ErrLogin, c.o.User)
	}
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	return nil
}

// quote makes a string of the protocol. What no line can have is dropped; nobody
// has it in a name that the server knows.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '\r', '\n', 0:
			continue
		case '"', '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Noop asks for news, and shows that the server is there.
func (c *Conn) Noop(ctx context.Context) error { return c.do(ctx, nil, "NOOP") }
