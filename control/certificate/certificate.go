// Package certificate keeps a server's certificate as its files have it, also
// when they are replaced while it serves. It knows no server.
package certificate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Files is a certificate and its key in PEM. It may be used from any goroutine.
type Files struct {
	cert, key string

	mu      sync.Mutex
	loaded  *tls.Certificate
	looked  time.Time
	version string // of what is loaded
}

// often is how often the files are looked at, at most.
const often = time.Second

// Load reads a certificate and its key.
func Load(cert, key string) (*Files, error) {
	f := &Files{cert: cert, key: key}
	version, err := f.stamp()
	if err == nil {
		err = f.load()
	}
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	f.version, f.looked = version, time.Now()
	return f, nil
}

func (f *Files) load() error {
	c, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return err
	}
	f.loaded = &c
	return nil
}

// stamp changes when one of the files does.
func (f *Files) stamp() (string, error) {
	a, err := os.Stat(f.cert)
	b, kerr := os.Stat(f.key)
	if err = errors.Join(err, kerr); err != nil {
		return "", err
	}
	return fmt.Sprint(a.ModTime().UnixNano(), a.Size(), b.ModTime().UnixNano(), b.Size()), nil
}

// Config is how a server uses it: TLS 1.2 and later, HTTP/2 and 1.1.
func (f *Files) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.current, NextProtos: []string{"h2", "http/1.1"}}
}

// current is the certificate as its files have it now. While they cannot be
// used, as when one of the two is replaced and the other not yet, it is the
// one before.
func (f *Files) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.looked) < often {
		return f.loaded, nil
	}
	f.looked = time.Now()
	if version, err := f.stamp(); err == nil && version != f.version && f.load() == nil {
		f.version = version
	}
	return f.loaded, nil
}
