package smtp

import (
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Config is the trigger's attributes. With username and password of the trigger
// senders have to authenticate, over TLS if it is offered.
type Config struct {
	// Port to listen on, default 2525; 0 for one that the system picks. All
	// processors of a function share it.
	Port int `json:"port"`
	// Host is the address to listen on, default 127.0.0.1; 0.0.0.0 or :: is every
	// interface.
	Host string `json:"host"`
	// Domain is what the server calls itself, default localhost.
	Domain string `json:"domain"`
	// Recipients are the addresses for which mail is taken: shop@example.com, or
	// *@example.com for all of a domain. Others are refused. Default: all.
	Recipients []string `json:"recipients,omitempty"`
	// Format of the event's body: json, the default, is the message taken apart;
	// raw is the message as it came.
	Format string `json:"format"`
	// MaxMessageSize in bytes, default 25 MiB. The protocol tells senders of it.
	MaxMessageSize quantity.Size `json:"maxMessageSize"`
	// MaxRecipients of one message, default 100.
	MaxRecipients int `json:"maxRecipients"`
	// MaxConnections at once, default 1000; another one is closed.
	MaxConnections int `json:"maxConnections"`
	// ReadTimeout bounds the wait for each line of a sender, default 1m.
	ReadTimeout quantity.Duration `json:"readTimeout"`
	// WriteTimeout bounds each answer, default 1m.
	WriteTimeout quantity.Duration `json:"writeTimeout"`
	// TLS offers STARTTLS with certFile and keyFile.
	TLS *secure.TLS `json:"tls,omitempty"`
	// RequireTLS refuses mail before STARTTLS.
	RequireTLS bool `json:"requireTLS,omitempty"`
}

// The formats.
const (
	JSON = "json"
	Raw  = "raw"
)

func defaults() Config {
	return Config{
		Port: 2525, Host: "127.0.0.1", Domain: "localhost", Format: JSON,
		MaxMessageSize: 25 << 20, MaxRecipients: 100, MaxConnections: 1000,
		ReadTimeout: quantity.Duration(time.Minute), WriteTimeout: quantity.Duration(time.Minute),
	}
}

// Validate reports the fields that cannot be served.
func (c *Config) Validate() error {
	var es document.Errors
	if c.Port < 0 || c.Port > 65535 {
		es.Add("port", "is %d, expected 0 to 65535", c.Port)
	}
	if c.Domain == "" || strings.ContainsAny(c.Domain, " \r\n") {
		es.Add("domain", "is %q, expected a name such as mail.example.com", c.Domain)
	}
	if c.Format != JSON && c.Format != Raw {
		es.Add("format", "unknown value %q%s (known: json, raw)", c.Format, document.DidYouMean(c.Format, []string{JSON, Raw}))
	}
	for i, r := range c.Recipients {
		if a, err := mail.ParseAddress(strings.Replace(r, "*@", "any@", 1)); err != nil || strings.Contains(a.Address, "*") {
			es.Add(fmt.Sprintf("recipients[%d]", i), "is %q, expected an address such as shop@example.com or *@example.com", r)
		}
	}
	if n := c.MaxMessageSize.Bytes(); n < 1<<10 || n > 1<<30 {
		es.Add("maxMessageSize", "is %d, expected 1 KiB to 1 GiB", n)
	}
	for name, n := range map[string]int{"maxRecipients": c.MaxRecipients, "maxConnections": c.MaxConnections} {
		if n < 1 {
			es.Add(name, "is %d, expected at least 1", n)
		}
	}
	for name, d := range map[string]quantity.Duration{"readTimeout": c.ReadTimeout, "writeTimeout": c.WriteTimeout} {
		if d <= 0 {
			es.Add(name, "is %v, expected more than 0", d.Std())
		}
	}
	switch {
	case c.TLS != nil:
		c.TLS.Check(&es)
	case c.RequireTLS:
		es.Add("requireTLS", "needs tls, with a certFile and a keyFile")
	}
	return es.Err()
}

// takes reports whether mail to an address is taken.
func (c *Config) takes(address string) bool {
	if len(c.Recipients) == 0 {
		return true
	}
	_, domain, _ := strings.Cut(address, "@")
	for _, r := range c.Recipients {
		if d, all := strings.CutPrefix(r, "*@"); all && strings.EqualFold(d, domain) || strings.EqualFold(r, address) {
			return true
		}
	}
	return false
}

// credentials are what senders have to say; ok is false if nothing.
func credentials(t function.Trigger) (user, password string, ok bool) {
	return t.Username, string(t.Password), t.Username != ""
}
