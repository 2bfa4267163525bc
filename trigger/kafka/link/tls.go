package link

import (
	"crypto/tls"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger/secure"
)

// TLS is how connections are made safe.
type TLS struct {
	// Enable may be false to keep the settings without using them.
	Enable *bool `json:"enable,omitempty"`
	// MinimumVersion is 1.2 (the default) or 1.3.
	MinimumVersion string `json:"minimumVersion,omitempty" document:"scalar"`
	secure.TLS
}

// Check reports what cannot be kept to, as of the attribute tls.
func (t *TLS) Check(es *document.Errors) {
	if t.MinimumVersion != "" {
		Word(es, "tls.minimumVersion", t.MinimumVersion, "1.2", "1.3")
	}
	t.TLS.Check(es)
}

// On reports whether it is used.
func (t *TLS) On() bool { return t != nil && (t.Enable == nil || *t.Enable) }

// Config reads the files.
func (t *TLS) Config() (*tls.Config, error) {
	c, err := t.TLS.Config()
	return t.least(c), err
}

// With is Config with texts in place of the files.
func (t *TLS) With(x secure.Texts) (*tls.Config, error) {
	c, err := t.TLS.With(x)
	return t.least(c), err
}

func (t *TLS) least(c *tls.Config) *tls.Config {
	if c != nil && t.MinimumVersion == "1.3" {
		c.MinVersion = tls.VersionTLS13
	}
	return c
}
