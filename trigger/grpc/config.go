package grpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// Config is the trigger's attributes.
type Config struct {
	// Port to listen on, default 50051; 0 for one that the system picks. All
	// processors of a function share it.
	Port int `json:"port"`
	// Host is the address to listen on, default 127.0.0.1; 0.0.0.0 or :: is
	// every interface.
	Host string `json:"host"`
	// Descriptor is a file with a set of file descriptors, as protoc writes it
	// with --include_imports and --descriptor_set_out: its methods are served
	// instead of myelin.v1.Function. A relative path is one in the function's
	// directory.
	Descriptor string `json:"descriptor,omitempty"`
	// Service is the one service of Descriptor that is served, such as
	// shop.v1.Orders. Default: all of them.
	Service string `json:"service,omitempty"`
	// Reflection lets clients ask for the services and their messages. Default
	// true.
	Reflection bool `json:"reflection"`
	// MaxMessageSize in bytes, default 4 MiB, of a request after it was
	// decompressed. A call with a larger one ends with RESOURCE_EXHAUSTED.
	MaxMessageSize quantity.Size `json:"maxMessageSize"`
	// MaxHeaderBytes of a call's metadata, default 16 KiB.
	MaxHeaderBytes quantity.Size `json:"maxHeaderBytes"`
	// MaxConnections at once, default 65536; another one is closed.
	MaxConnections int `json:"maxConnections"`
	// MaxStreams is how many calls one connection may have at once, default
	// 1000; a client keeps further ones back.
	MaxStreams int `json:"maxStreams"`
	// IdleTimeout is how long a connection without a call is kept; default 30m,
	// 0 for ever.
	IdleTimeout quantity.Duration `json:"idleTimeout"`
	// DrainLinger is how long, once the trigger drains, calls that have begun
	// without their message, and streams, may go on; default 1s.
	DrainLinger quantity.Duration `json:"drainLinger"`
	// TLS has the trigger serve with a certificate; default: without.
	TLS *TLS `json:"tls,omitempty"`
}

// TLS names files in PEM. Certificate and key are read anew for each connection:
// they are replaced.
type TLS struct {
	CertFile string `json:"certFile"`
	KeyFile  string `json:"keyFile"`
	// ClientCAFile has the authorities one of which must have signed a client's
	// certificate. Default: clients need none.
	ClientCAFile string `json:"clientCAFile,omitempty"`
}

func defaults() Config {
	return Config{
		Port:           50051,
		Host:           "127.0.0.1",
		Reflection:     true,
		MaxMessageSize: 4 << 20,
		MaxHeaderBytes: 16 << 10,
		MaxConnections: 64 << 10,
		MaxStreams:     1000,
		IdleTimeout:    quantity.Duration(30 * time.Minute),
		DrainLinger:    quantity.Duration(time.Second),
	}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	if c.Port < 0 || c.Port > 65535 {
		es.Add("port", "is %d, expected 0 to 65535", c.Port)
	}
	if c.Service != "" && c.Descriptor == "" {
		es.Add("service", "needs descriptor, the file that says what its methods are")
	}
	if n := c.MaxMessageSize.Bytes(); n < 1 || n > 1<<31-1 {
		es.Add("maxMessageSize", "is %d, expected 1 byte to 2 GiB", n)
	}
	if n := c.MaxHeaderBytes.Bytes(); n < 1<<10 || n > 16<<20 {
		es.Add("maxHeaderBytes", "is %d, expected 1 KiB to 16 MiB", n)
	}
	if c.MaxConnections < 1 {
		es.Add("maxConnections", "is %d, expected at least 1", c.MaxConnections)
	}
	if c.MaxStreams < 1 {
		es.Add("maxStreams", "is %d, expected at least 1", c.MaxStreams)
	}
	if c.IdleTimeout < 0 {
		es.Add("idleTimeout", "is negative")
	}
	if c.DrainLinger < 0 {
		es.Add("drainLinger", "is negative")
	}
	if t := c.TLS; t != nil && (t.CertFile == "" || t.KeyFile == "") {
		es.Add("tls", "needs certFile and keyFile")
	}
	return es.Err()
}

// config reads the files. Its errors name the field.
func (t *TLS) config() (*tls.Config, error) {
	pair := func() (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read tls.certFile and tls.keyFile: %w", err)
		}
		return &c, nil
	}
	if _, err := pair(); err != nil {
		return nil, err
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair() }}
	if t.ClientCAFile == "" {
		return conf, nil
	}
	text, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("read tls.clientCAFile: %w", err)
	}
	conf.ClientCAs, conf.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !conf.ClientCAs.AppendCertsFromPEM(text) {
		return nil, errors.New("read tls.clientCAFile: there is no certificate in PEM")
	}
	return conf, nil
}
