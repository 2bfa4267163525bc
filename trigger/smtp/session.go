package smtp

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	protocol "github.com/emersion/go-smtp"
	"github.com/google/uuid"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/mail/message"
)

// session is a connection, from its greeting on; STARTTLS begins another one.
type session struct {
	s    *server
	c    *protocol.Conn
	conn *conn
	auth bool
	from string
	to   []string
}

var (
	_ protocol.Session     = (*session)(nil)
	_ protocol.AuthSession = (*session)(nil)
)

func (s *server) session(c *protocol.Conn) (protocol.Session, error) {
	own, err := connOf(c)
	if err != nil {
		return nil, err
	}
	return &session{s: s, c: c, conn: own}, nil
}

// AuthMechanisms implements [protocol.AuthSession].
func (x *session) AuthMechanisms() []string {
	if _, _, asked := credentials(x.s.settings.Spec); asked {
		return []string{sasl.Plain}
	}
	return nil
}

// Auth implements [protocol.AuthSession].
func (x *session) Auth(mechanism string) (sasl.Server, error) {
	user, password, asked := credentials(x.s.settings.Spec)
	if !asked || mechanism != sasl.Plain {
		return nil, protocol.ErrAuthUnknownMechanism
	}
	return sasl.NewPlainServer(func(_, u, p string) error {
		if subtle.ConstantTimeCompare([]byte(u+"\x00"+p), []byte(user+"\x00"+password)) != 1 {
			return protocol.ErrAuthFailed
		}
		x.auth = true
		return nil
	}), nil
}

// Mail implements [protocol.Session].
func (x *session) Mail(from string, _ *protocol.MailOptions) error {
	_, secure := x.c.TLSConnectionState()
	switch _, _, asked := credentials(x.s.settings.Spec); {
	case x.s.draining.Load():
		return errStopping
	case x.s.cfg.RequireTLS && !secure:
		return status(530, protocol.EnhancedCode{5, 7, 0}, "must issue a STARTTLS command first")
	case asked && !x.auth:
		return status(530, protocol.EnhancedCode{5, 7, 0}, "authentication required")
	}
	x.from = from
	return nil
}

// Rcpt implements [protocol.Session].
func (x *session) Rcpt(to string, _ *protocol.RcptOptions) error {
	if !x.s.cfg.takes(to) {
		return status(550, protocol.EnhancedCode{5, 1, 1}, "no mail is taken for this address")
	}
	x.to = append(x.to, to)
	return nil
}

// Reset implements [protocol.Session].
func (x *session) Reset() { x.from, x.to = "", nil }

// Logout implements [protocol.Session].
func (x *session) Logout() error { return nil }

// Data implements [protocol.Session]: it returns when the function is done.
func (x *session) Data(r io.Reader) error {
	if err := x.conn.begin(); err != nil {
		return err
	}
	defer x.conn.end()
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(r); err != nil {
		return err // the library's own says that it is too large
	}
	ev, err := x.event(raw.Bytes())
	if err != nil {
		return status(554, protocol.EnhancedCode{5, 6, 0}, oneLine(err.Error()))
	}
	return outcome(x.s.invoke(ev))
}

// event makes an event of a message. It shares nothing with anybody.
func (x *session) event(raw []byte) (*event.Event, error) {
	m, headers, err := message.Parse(raw)
	if err != nil {
		return nil, err
	}
	m.Envelope = &message.Envelope{From: x.from, To: x.to}
	ev := &event.Event{
		Source: x.s.source, ID: []byte(m.MessageID), Time: time.Now(), Topic: x.to[0],
		ContentType: []byte("message/rfc822"), Body: raw,
		Headers: append(headers, event.Pair{Key: "envelope-from", Value: []byte(x.from)}, event.Pair{Key: "envelope-to", Value: []byte(strings.Join(x.to, ", "))}),
	}
	if len(ev.ID) == 0 {
		ev.ID = []byte(uuid.NewString())
	}
	if x.s.cfg.Format == JSON {
		ev.ContentType = []byte("application/json")
		ev.Body, err = m.JSON()
	}
	return ev, err
}

// invoke runs the function. A panic is that event's failure.
func (s *server) invoke(ev *event.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.settings.Log.Error("handler panicked", "panic", p, "stack", string(debug.Stack()))
			err = errors.New("handler panicked")
		}
	}()
	return s.h.Handle(context.Background(), ev, &event.Response{}) // what it answers, nobody reads
}

var errStopping = status(421, protocol.EnhancedCode{4, 3, 2}, "the function is being replaced, try again")

func status(code int, more protocol.EnhancedCode, text string) error {
	return &protocol.SMTPError{Code: code, EnhancedCode: more, Message: text}
}

// outcome is what the sender is told: that the message is taken, that it shall be
// tried again, or that it shall not.
func outcome(err error) error {
	switch {
	case err == nil, errors.Is(err, event.ErrLater):
		return nil
	case event.IsPermanent(err):
		return status(554, protocol.EnhancedCode{5, 0, 0}, oneLine(err.Error()))
	case errors.Is(err, event.ErrStopping):
		return errStopping
	}
	return status(451, protocol.EnhancedCode{4, 3, 0}, oneLine(err.Error()))
}

// oneLine makes an answer of one line that is not too long for the protocol.
func oneLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, line)
	return line[:min(len(line), 400)]
}
