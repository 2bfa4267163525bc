package imap

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/imap/wire"
	"github.com/myelin-run/myelin/trigger/secure"
	"github.com/myelin-run/myelin/trigger/stream"
)

// What becomes of a message that is done.
const (
	Seen   = "seen"
	Move   = "move"
	Delete = "delete"
)

// The formats of the event's body.
const (
	JSON = "json"
	Text = "text"
	Raw  = "raw"
)

// Config is the trigger's attributes. The server is the trigger's url, imaps://host
// or imap://host; who reads is its username and password.
type Config struct {
	// Mailbox that is read, default INBOX.
	Mailbox string `json:"mailbox,omitempty"`
	// After says what becomes of a message that is done: seen (default) marks it as
	// read, move puts it into moveTo, delete removes it. With seen what is marked
	// as read is not taken, whoever did that; with the others everything is.
	After string `json:"after,omitempty"`
	// MoveTo is the mailbox for messages that are done. It is made if it is not there.
	MoveTo string `json:"moveTo,omitempty"`
	// FailedTo is the mailbox for messages that are given up, or too large; it is
	// made if it is not there. Default: none.
	FailedTo string `json:"failedTo,omitempty"`
	// Format of the event's body: json, the default, is the message taken apart;
	// text is its text; raw is the message as it is.
	Format string `json:"format,omitempty"`
	// MaxMessageSize of what is fetched, default 25 MiB. A larger message goes to
	// failedTo, or stays where it is.
	MaxMessageSize quantity.Size `json:"maxMessageSize,omitempty"`
	// Idle has the server tell of new messages, if it can: auto (default) or off.
	Idle string `json:"idle,omitempty"`
	// Interval after which the mailbox is looked at in any case. Default 30s.
	Interval quantity.Duration `json:"interval,omitempty"`
	// Timeout of each wait for an answer of the server. Default 30s.
	Timeout quantity.Duration `json:"timeout,omitempty"`
	// StartTLS of a url that begins with imap://: required, the default, or never,
	// with which the password and all mail can be read on the way.
	StartTLS string `json:"startTLS,omitempty"`
	// TLS says how the server is known.
	TLS secure.TLS `json:"tls,omitzero"`
	// Assignment says who sees to it that one processor reads at a time: "dealer",
	// or "all", with which all read, and a message may be taken twice. Default: the
	// dealer, if the processor knows one.
	Assignment string `json:"assignment,omitempty"`
}

func defaults() Config {
	return Config{Mailbox: "INBOX", After: Seen, Format: JSON, MaxMessageSize: 25 << 20, Idle: "auto", StartTLS: "required",
		Interval: quantity.Duration(30 * time.Second), Timeout: quantity.Duration(30 * time.Second)}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	word(&es, "after", c.After, Seen, Move, Delete)
	word(&es, "format", c.Format, JSON, Text, Raw)
	word(&es, "idle", c.Idle, "auto", "off")
	word(&es, "startTLS", c.StartTLS, "required", "never")
	if c.Assignment != "" {
		word(&es, "assignment", c.Assignment, stream.ByDealer, stream.ToOne)
	}
	for field, name := range map[string]string{"mailbox": c.Mailbox, "moveTo": c.MoveTo, "failedTo": c.FailedTo} {
		switch {
		case len(name) > 500 || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
			es.Add(field, "is %.100q, expected the name of a mailbox", name)
		case field != "mailbox" && name != "" && strings.EqualFold(name, c.Mailbox):
			es.Add(field, "is %q, and so is mailbox", name)
		}
	}
	switch {
	case c.Mailbox == "":
		es.Add("mailbox", "is empty, expected a name such as INBOX")
	case c.After == Move && c.MoveTo == "":
		es.Add("moveTo", "is required to move what is done")
	case c.After != Move && c.MoveTo != "":
		es.Add("moveTo", "is only for after: move")
	}
	if n := c.MaxMessageSize.Bytes(); n < 1<<10 || n > 1<<30 {
		es.Add("maxMessageSize", "is %d, expected 1 KiB to 1 GiB", n)
	}
	for field, d := range map[string]quantity.Duration{"interval": c.Interval, "timeout": c.Timeout} {
		if d.Std() < 10*time.Millisecond || d.Std() > 25*time.Minute { // after half an hour servers end what is silent
			es.Add(field, "is %v, expected 10ms to 25m", d)
		}
	}
	c.TLS.Check(&es)
	return es.Err()
}

func word(es *document.Errors, field, got string, known ...string) {
	if !slices.Contains(known, got) {
		es.Add(field, "is %q%s, expected %s", got, document.DidYouMean(got, known), strings.Join(known, " or "))
	}
}

// server is where the mailbox is, and who reads it.
type server struct {
	wire.Options
	host string // for TLS; "" for none
	tls  secure.TLS
}

// options are those of one connection: the files of TLS are read for each.
func (s server) options() (wire.Options, error) {
	if s.host == "" {
		return s.Options, nil
	}
	c, err := s.tls.For(s.host)
	if err != nil {
		return s.Options, err
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	s.TLS = c
	return s.Options, nil
}

// dial reads the fields of the trigger that all kinds have.
func (c *Config) dial(s trigger.Settings) (to server, err error) {
	u, err := url.Parse(s.Spec.URL)
	switch {
	case s.Spec.URL == "":
		return to, errors.New("url: is required, such as imaps://mail.example.com")
	case err != nil || u.Hostname() == "" || u.Scheme != "imap" && u.Scheme != "imaps":
		return to, errors.New("url: is not of the form imaps://host or imap://host:port")
	case u.User != nil:
		return to, errors.New("url: has a user, which is shown to whoever may see the function; use username and password")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return to, errors.New("url: ends with the host and port; the mailbox is an attribute")
	case s.Spec.Username == "":
		return to, errors.New("username: is required, and the password")
	}
	password := s.Spec.Password.Reveal()
	if strings.ContainsAny(s.Spec.Username+password, "\r\n\x00") {
		return to, errors.New("password: neither it nor the username has more than a line; a file may have a line end too much")
	}
	if at := s.Spec.StartAt; at != "" && at != "earliest" {
		return to, fmt.Errorf("startAt: %q: a mailbox begins with what is not done in it", at)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"imap": "143", "imaps": "993"}[u.Scheme]
	}
	to = server{tls: c.TLS, Options: wire.Options{Address: net.JoinHostPort(u.Hostname(), port), User: s.Spec.Username, Password: password,
		Timeout: c.Timeout.Std(), Literal: c.MaxMessageSize.Bytes() + 1, StartTLS: u.Scheme == "imap" && c.StartTLS == "required"}}
	if u.Scheme == "imaps" || to.StartTLS {
		to.host = u.Hostname()
	}
	return to, nil
}
