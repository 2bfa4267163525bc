// Package s3 is the binding of class object that keeps objects in a bucket of a
// service that speaks the protocol of Amazon S3. It holds what is peculiar to
// that: credentials, parts of large objects, conditions that not every service
// keeps, and what its errors mean.
package s3

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Kind is the binding's name in a set.
const Kind = "object/s3"

// Config is the binding's attributes. Its url is https://KEY@host, where KEY is
// the identifier of the access key, or http://, its secret the key itself, and its
// path the bucket, with what all names begin with after a slash.
type Config struct {
	binding.Limits
	// Region of the bucket. Default us-east-1.
	Region string `json:"region,omitempty"`
	// Addressing is how the bucket is named to the service: path, which every one
	// understands, or host. Default path.
	Addressing string `json:"addressing,omitempty"`
	// PartSize is above which size an object is written in parts. Default 64Mi.
	PartSize quantity.Size `json:"partSize,omitempty"`
	// TLS says how the service is known, and how it knows this client.
	TLS secure.TLS `json:"tls,omitzero"`
}

func defaults() Config {
	return Config{Limits: binding.DefaultLimits(), Region: "us-east-1", Addressing: "path", PartSize: 64 << 20}
}

// minPart is the least size of a part that the protocol lets any but the last have.
const minPart = 5 << 20

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	c.TLS.Check(&es)
	if c.Addressing != "path" && c.Addressing != "host" {
		es.Add("addressing", "is %q, expected path or host", c.Addressing)
	}
	if c.PartSize < minPart || c.PartSize > 1<<30 {
		es.Add("partSize", "is %v, expected 5Mi to 1Gi", c.PartSize)
	}
	return es.Err()
}

// Factory makes S3 bindings.
func Factory() binding.Factory {
	return component.Define(Kind, "Keeps objects in a bucket of a service like Amazon S3.", defaults, build)
}

// maxPrefix leaves room for a name in what the protocol lets a key have.
const maxPrefix = 1024 - data.MaxName

func build(s binding.Settings, c Config) (binding.Binding, error) {
	u, err := url.Parse(s.Spec.URL)
	switch {
	case s.Spec.URL == "":
		return nil, binding.Wrong("url", "is required, such as https://KEY@s3.eu-central-1.amazonaws.com")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return nil, binding.Wrong("url", "is not of the form https://KEY@host:port: the bucket is the path of the binding")
	}
	bucket, prefix, _ := strings.Cut(s.Spec.Path, "/")
	prefix = strings.TrimSuffix(prefix, "/")
	if err := s3utils.CheckValidBucketName(bucket); err != nil {
		return nil, binding.Wrong("path", "%q does not begin with a bucket: %v", s.Spec.Path, err)
	}
	if prefix != "" {
		prefix += "/"
		if err := data.CheckName(strings.TrimSuffix(prefix, "/")); err != nil || len(prefix) > maxPrefix {
			return nil, binding.Wrong("path", "%.200q has no names of up to %d bytes below its bucket", s.Spec.Path, maxPrefix)
		}
	}
	st := &store{Limits: c.Limits, config: c, bucket: bucket, prefix: prefix, host: u.Host, plain: u.Scheme == "http",
		turn: make(chan struct{}, 1), keeps: map[string]bool{}}
	key, secret := "", s.Spec.Secret.Reveal()
	if u.User != nil {
		key = u.User.Username()
		if given, ok := u.User.Password(); ok && secret == "" {
			secret = given
		}
	}
	if (key == "") != (secret == "") {
		return nil, binding.Wrong("secret", "and the key's identifier, as in https://KEY@host, go together")
	}
	st.credentials = credentials.NewStaticV4(key, secret, "") // with neither: nobody
	return st, nil
}

// store implements [data.ObjectStore]. An object's version is its ETag.
type store struct {
	binding.Limits
	config      Config
	bucket      string
	prefix      string // "", or what all names begin with, and a slash
	host        string
	plain       bool
	credentials *credentials.Credentials

	client    *minio.Core
	transport *http.Transport

	turn  chan struct{}   // has room for the one who may use keeps
	keeps map[string]bool // whether the service keeps a condition, by its header
}

// Open implements [binding.Binding].
func (s *store) Open(ctx context.Context) error {
	tls, err := s.config.TLS.Config()
	if err != nil {
		return data.As(data.Misuse, err)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: tls, DisableCompression: true,
		MaxIdleConns: s.MaxCalls, MaxIdleConnsPerHost: s.MaxCalls, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	lookup := minio.BucketLookupPath
	if s.config.Addressing == "host" {
		lookup = minio.BucketLookupDNS
	}
	client, err := minio.NewCore(s.host, &minio.Options{
		Creds: s.credentials, Secure: !s.plain, Transport: transport, Region: s.config.Region, BucketLookup: lookup,
		MaxRetries: 1, // who calls tries again
	})
	if err != nil {
		return data.As(data.Misuse, err)
	}
	switch there, err := client.BucketExists(ctx, s.bucket); {
	case err != nil:
		transport.CloseIdleConnections()
		return reason(err)
	case !there:
		transport.CloseIdleConnections()
		return data.Errorf(data.NotFound, "there is no bucket %s", s.bucket)
	}
	s.client, s.transport = client, transport
	return nil
}

// Close implements [binding.Binding].
func (s *store) Close() error {
	if s.client != nil {
		s.transport.CloseIdleConnections()
	}
	return nil
}

// Check implements [binding.Checker].
func (s *store) Check(ctx context.Context) error {
	if err := s.opened(); err != nil {
		return err
	}
	there, err := s.client.BucketExists(ctx, s.bucket)
	if err == nil && !there {
		return data.Errorf(data.Away, "there is no bucket %s", s.bucket)
	}
	return reason(err)
}

func (s *store) opened() error {
	if s.client == nil {
		return data.Errorf(data.Away, "it is not open")
	}
	return nil
}
