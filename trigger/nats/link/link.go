// Package link is what the triggers of NATS have in common: how a connection is
// made and as whom, and how headers, letters and answers look as messages. It
// knows no subscription, no stream and no engine.
package link

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Options are the attributes that say how to connect. Address, user and
// password are the trigger's own url, username and password; its secret is a
// token.
type Options struct {
	// CredentialsFile has a JWT and its seed, as nsc writes them.
	CredentialsFile string `json:"credentialsFile,omitempty"`
	// NKeyFile has the seed of an nkey.
	NKeyFile string `json:"nkeyFile,omitempty"`
	// TLS says how the server is known, and how it knows this client.
	TLS secure.TLS `json:"tls,omitzero"`
	// ConnectTimeout bounds each attempt to connect. Default 5s.
	ConnectTimeout quantity.Duration `json:"connectTimeout,omitempty"`
	// PingInterval is how often the server is asked whether it is there; a
	// connection that leaves two questions unanswered is given up. Default 10s.
	PingInterval quantity.Duration `json:"pingInterval,omitempty"`
	// InboxPrefix begins the subjects that are made up for answers, for users
	// that may subscribe to few. Default _INBOX.
	InboxPrefix string `json:"inboxPrefix,omitempty"`
}

// Defaults are the default options.
func Defaults() Options {
	return Options{ConnectTimeout: quantity.Duration(5 * time.Second), PingInterval: quantity.Duration(10 * time.Second)}
}

// Check reports the fields that cannot be kept to.
func (o *Options) Check(es *document.Errors) {
	Span(es, "connectTimeout", o.ConnectTimeout, time.Millisecond)
	Span(es, "pingInterval", o.PingInterval, 10*time.Millisecond)
	if o.CredentialsFile != "" && o.NKeyFile != "" {
		es.Add("credentialsFile", "and nkeyFile exclude each other")
	}
	o.TLS.Check(es)
	if o.InboxPrefix != "" {
		if err := CheckSubject(o.InboxPrefix, false); err != nil {
			es.Add("inboxPrefix", "%v", err)
		}
	}
}

// Span reports a time that is too short.
func Span(es *document.Errors, field string, d quantity.Duration, least time.Duration) {
	if d.Std() < least {
		es.Add(field, "is %v, expected at least %v", d, least)
	}
}

// Word reports a text that is none of those known.
func Word(es *document.Errors, field, got string, known ...string) {
	for _, k := range known {
		if got == k {
			return
		}
	}
	es.Add(field, "is %q, expected one of %q", got, known)
}

// CheckSubject says what is wrong with a subject; wild ones have * and >.
func CheckSubject(s string, wild bool) error {
	tokens := strings.Split(s, ".")
	for i, t := range tokens {
		switch {
		case t == "":
			return fmt.Errorf("%q is no subject: there is nothing before, between or after its dots", s)
		case strings.ContainsAny(t, " \t\r\n\f\x00"):
			return fmt.Errorf("%q is no subject: it has a space", s)
		case t == ">" && i < len(tokens)-1:
			return fmt.Errorf("%q is no subject: > stands at the end only", s)
		case !wild && (t == ">" || t == "*"):
			return fmt.Errorf("%q has a wildcard, and one subject is needed", s)
		}
	}
	return nil
}

// address is where the servers are, without the user and password that an url
// may have.
type address struct {
	servers        []string
	user, password string
}

// parseURL reads nats://user:password@host:port, several divided by commas. Its
// errors do not show the url, which may hold a password.
func parseURL(s string) (a address, err error) {
	if s == "" {
		return a, errors.New("url: is required, such as nats://nats.example.com:4222")
	}
	for one := range strings.SplitSeq(s, ",") {
		one = strings.TrimSpace(one)
		if !strings.Contains(one, "://") {
			one = "nats://" + one
		}
		u, err := url.Parse(one)
		if err != nil {
			return a, errors.New("url: is no url such as nats://nats.example.com:4222")
		}
		switch u.Scheme {
		case "nats", "tls", "ws", "wss":
		default:
			return a, fmt.Errorf("url: begins with %s://, expected nats://, tls://, ws:// or wss://", u.Scheme)
		}
		if u.Hostname() == "" {
			return a, errors.New("url: has no host")
		}
		if u.User != nil {
			a.user = u.User.Username()
			a.password, _ = u.User.Password()
			u.User = nil
		}
		a.servers = append(a.servers, u.String())
	}
	return a, nil
}
