// Package nats is the binding of class kv that keeps keys in a key-value bucket
// of NATS JetStream. It holds what is peculiar to NATS: which keys a bucket can
// have, what times of keys cost, and what its errors mean.
package nats

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Kind is the binding's name in a set.
const Kind = "kv/nats"

// Config is the binding's attributes. Its url is nats://host:port, of several
// servers with commas between, or tls://; its path is the bucket. The secret is a
// token, or the password of the user in the url.
type Config struct {
	binding.Limits
	// CredentialsFile has a JWT and its seed, as nsc writes them.
	CredentialsFile string `json:"credentialsFile,omitempty"`
	// TLS says how the server is known, and how it knows this client.
	TLS secure.TLS `json:"tls,omitzero"`
	// Replicas of a bucket that is not there and is made. Default 1.
	Replicas int `json:"replicas,omitempty"`
}

func defaults() Config { return Config{Limits: binding.DefaultLimits(), Replicas: 1} }

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	c.TLS.Check(&es)
	if c.Replicas < 1 || c.Replicas > 5 {
		es.Add("replicas", "is %d, expected 1 to 5", c.Replicas)
	}
	return es.Err()
}

// Factory makes bindings of NATS buckets.
func Factory() binding.Factory {
	return component.Define(Kind, "Keeps keys in a bucket of NATS JetStream.", defaults, build)
}

var bucketForm = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func build(s binding.Settings, c Config) (binding.Binding, error) {
	servers, user, err := parseURL(s.Spec.URL)
	if err != nil {
		return nil, err
	}
	if !bucketForm.MatchString(s.Spec.Path) || len(s.Spec.Path) > 200 {
		return nil, binding.Wrong("path", "%q is no bucket: one has letters, digits, _ and -", s.Spec.Path)
	}
	st := &store{Limits: c.Limits, config: c, servers: servers, bucket: s.Spec.Path, name: strings.Trim("myelin "+s.Function+" "+s.Name, " ")}
	secret := s.Spec.Secret.Reveal()
	switch {
	case c.CredentialsFile != "" && (secret != "" || user != nil):
		return nil, binding.Wrong("secret", "and a user exclude the attribute credentialsFile")
	case c.CredentialsFile != "":
		st.identity = nats.UserCredentials(c.CredentialsFile)
	case user != nil:
		password, given := user.Password()
		if given && secret == "" {
			secret = password
		}
		st.identity = nats.UserInfo(user.Username(), secret)
	case secret != "":
		st.identity = nats.Token(secret)
	}
	return st, nil
}

// parseURL takes the user out of a list of servers. Its errors do not show the
// url, which may have a password.
func parseURL(text string) (servers []string, user *url.Userinfo, err error) {
	if text == "" {
		return nil, nil, binding.Wrong("url", "is required, such as nats://nats.example.com:4222")
	}
	for one := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, nil, binding.Wrong("url", "is not of the form nats://user@host:port, or several with commas between")
		}
		if u.User != nil {
			user = u.User
		}
		servers = append(servers, u.Scheme+"://"+u.Host)
	}
	return servers, user, nil
}

// store implements [data.KeyStore]. A value's version is its place in the
// bucket's stream.
type store struct {
	binding.Limits
	config   Config
	servers  []string
	identity nats.Option // nil: none
	bucket   string
	name     string // of the connection, as the server lists it

	conn    *nats.Conn
	js      jetstream.JetStream
	kv      jetstream.KeyValue
	stream  jetstream.Stream
	refused atomic.Int64 // when the server last refused this user something, in nanoseconds
}

const (
	dialTime = 5 * time.Second
	// markers is how long a bucket tells of a key that ended.
	markers = time.Minute
)

// Open implements [binding.Binding]. A bucket that is not there is made, with
// times of keys.
func (s *store) Open(ctx context.Context) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return reason(err)
	}
	began := time.Now()
	if err := s.find(ctx, conn); err != nil {
		err = s.because(began, err)
		conn.Close()
		return err
	}
	s.conn = conn
	return nil
}

func (s *store) dial(ctx context.Context) (*nats.Conn, error) {
	limit := dialTime
	if until, ok := ctx.Deadline(); ok {
		limit = min(limit, max(time.Until(until), time.Millisecond))
	}
	opts := []nats.Option{nats.Name(s.name), nats.Timeout(limit), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(), nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				s.refused.Store(time.Now().UnixNano())
			}
		})}
	if s.identity != nil {
		opts = append(opts, s.identity)
	}
	if s.config.TLS != (secure.TLS{}) {
		c, err := s.config.TLS.Config()
		if err != nil {
			return nil, data.As(data.Misuse, err)
		}
		opts = append(opts, nats.Secure(c))
	}
	return nats.Connect(strings.Join(s.servers, ","), opts...)
}

func (s *store) find(ctx context.Context, conn *nats.Conn) (err error) {
	if s.js, err = jetstream.New(conn); err != nil {
		return err
	}
	s.kv, err = s.js.KeyValue(ctx, s.bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		s.kv, err = s.makeBucket(ctx)
	}
	if err == nil {
		s.stream, err = s.js.Stream(ctx, "KV_"+s.bucket)
	}
	return err
}

// makeBucket makes the bucket, which another processor may do at the same moment.
func (s *store) makeBucket(ctx context.Context) (jetstream.KeyValue, error) {
	c := jetstream.KeyValueConfig{Bucket: s.bucket, Replicas: s.config.Replicas, LimitMarkerTTL: markers}
	kv, err := s.js.CreateKeyValue(ctx, c)
	if errors.Is(err, jetstream.ErrLimitMarkerTTLNotSupported) { // a server before 2.11
		c.LimitMarkerTTL = 0
		kv, err = s.js.CreateKeyValue(ctx, c)
	}
	if errors.Is(err, jetstream.ErrBucketExists) {
		return s.js.KeyValue(ctx, s.bucket)
	}
	return kv, err
}

// Close implements [binding.Binding].
func (s *store) Close() error {
	if s.conn != nil {
		s.conn.Close()
	}
	return nil
}

// Check implements [binding.Checker].
func (s *store) Check(ctx context.Context) error {
	return s.call(func() error {
		_, err := s.js.Stream(ctx, "KV_"+s.bucket)
		return err
	})
}

// call runs f if the binding is open.
func (s *store) call(f func() error) error {
	if s.conn == nil {
		return data.Errorf(data.Away, "it is not open")
	}
	began := time.Now()
	return s.because(began, f())
}

// because is reason for a call that began then. NATS does not answer what it
// refuses, and says so beside.
func (s *store) because(began time.Time, err error) error {
	err = data.Classify(reason(err))
	if data.ReasonOf(err) == data.Timeout && s.refused.Load() >= began.UnixNano() {
		return data.Errorf(data.Denied, "the server refuses this user what bucket %s needs: %w", s.bucket, err)
	}
	return err
}
