// Package secure is the attribute tls of the triggers: how a server is known, and
// how it knows this client. It opens no connection and knows no kind of server.
package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/myelin-run/myelin/document"
)

// TLS names files. They are to be read anew for each connection: certificates are
// replaced.
type TLS struct {
	// CAFile has the authorities to trust, in PEM. Default: the system's.
	CAFile string `json:"caFile,omitempty"`
	// CertFile and KeyFile are this client's own, in PEM.
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	// ServerName in the server's certificate. Default: the host that is connected to.
	ServerName string `json:"serverName,omitempty"`
	// InsecureSkipVerify trusts whoever answers.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// Check reports what cannot be kept to, as of the attribute tls.
func (t TLS) Check(es *document.Errors) {
	if (t.CertFile == "") != (t.KeyFile == "") {
		es.Add("tls.certFile", "certFile and keyFile go together")
	}
}

// Config reads the files. Its errors name the field.
func (t TLS) Config() (*tls.Config, error) {
	var texts Texts
	for _, f := range []struct {
		field, file string
		text        *[]byte
	}{{"caFile", t.CAFile, &texts.CA}, {"certFile", t.CertFile, &texts.Cert}, {"keyFile", t.KeyFile, &texts.Key}} {
		if f.file == "" {
			continue
		}
		text, err := os.ReadFile(f.file)
		if err != nil {
			return nil, fmt.Errorf("read tls.%s: %w", f.field, err)
		}
		*f.text = text
	}
	return t.With(texts)
}

// For is Config for connections to a host, which is the server's name unless
// another is given.
func (t TLS) For(host string) (*tls.Config, error) {
	c, err := t.Config()
	if err == nil && c.ServerName == "" {
		c.ServerName = host
	}
	return c, err
}

// Texts are what the files hold, in PEM; nil: not given.
type Texts struct{ CA, Cert, Key []byte }

// With is Config with texts in place of the files.
func (t TLS) With(x Texts) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify} //nolint:gosec // the user's choice
	if x.CA != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(x.CA) {
			return nil, errors.New("read tls.caFile: there is no certificate in PEM")
		}
	}
	if x.Cert != nil {
		own, err := tls.X509KeyPair(x.Cert, x.Key)
		if err != nil {
			return nil, fmt.Errorf("read tls.certFile: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
	}
	return c, nil
}
