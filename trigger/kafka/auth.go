package kafka

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/trigger/kafka/link"
	"github.com/myelin-run/myelin/trigger/secure"
)

// cluster is where the brokers are, and who asks there.
func (s *Source) cluster() *link.Cluster {
	c := &link.Cluster{Brokers: s.cfg.Brokers, SASL: s.cfg.SASL, DialTimeout: s.cfg.DialTimeout.Std(), Log: s.log}
	if s.cfg.usesTLS() {
		c.TLS = s.cfg.tls
	}
	return c
}

func (c *Config) usesTLS() bool {
	if c.TLS != nil && c.TLS.Enable != nil {
		return *c.TLS.Enable
	}
	return c.TLS != nil || c.CACert != "" || c.AccessCertificate != ""
}

func (c *Config) tls() (*tls.Config, error) {
	var o link.TLS
	if c.TLS != nil {
		o = *c.TLS
	}
	var texts secure.Texts
	var err error
	if texts.CA, err = c.pem(o.CAFile, c.CACert); err != nil {
		return nil, fmt.Errorf("read tls.caFile: %w", err)
	}
	if texts.Cert, err = c.pem(o.CertFile, c.AccessCertificate); err != nil {
		return nil, fmt.Errorf("read tls.certFile: %w", err)
	}
	if texts.Key, err = c.pem(o.KeyFile, c.AccessKey.Reveal()); err != nil {
		return nil, fmt.Errorf("read tls.keyFile: %w", err)
	}
	return o.With(texts)
}

// pem returns the text of a file, or what one of Nuclio's fields means; nil if
// neither is given.
func (c *Config) pem(file, nuclio string) ([]byte, error) {
	switch {
	case file != "":
		return os.ReadFile(file)
	case nuclio == "":
		return nil, nil
	case c.SecretPath != "" && !strings.Contains(nuclio, "-----BEGIN"):
		return os.ReadFile(filepath.Join(c.SecretPath, nuclio))
	}
	return []byte(nuclio), nil
}
