// Package etcd is the binding of class kv that keeps keys in a cluster of etcd.
// It holds what is peculiar to etcd: leases for times of keys, transactions for
// conditions, and what its errors mean.
package etcd

import (
	"context"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Kind is the binding's name in a set.
const Kind = "kv/etcd"

// Config is the binding's attributes. Its url is http://user@host:port, of
// several members with commas between, or https://, its secret the user's
// password, and its path what all keys begin with.
type Config struct {
	binding.Limits
	// TLS says how the members are known, and how they know this client.
	TLS secure.TLS `json:"tls,omitzero"`
}

func defaults() Config { return Config{Limits: binding.DefaultLimits()} }

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	c.TLS.Check(&es)
	return es.Err()
}

// Factory makes etcd bindings.
func Factory() binding.Factory {
	return component.Define(Kind, "Keeps keys in etcd.", defaults, build)
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	members, user, err := parseURL(s.Spec.URL)
	if err != nil {
		return nil, err
	}
	st := &store{Limits: c.Limits, tls: c.TLS, secured: strings.HasPrefix(members[0], "https:"), prefix: s.Spec.Path}
	st.config = clientv3.Config{
		Endpoints: members, Logger: zap.NewNop(), MaxUnaryRetries: 2, // the second is for a token that is over
		DialTimeout: c.Timeout.Std(), DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
		MaxCallSendMsgSize: sendLimit,
		DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(atOnce),
			grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 5 * time.Second,
				Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: 2 * time.Second}}),
		},
	}
	if user != nil {
		st.config.Username = user.Username()
		st.config.Password, _ = user.Password()
	}
	if p := s.Spec.Secret.Reveal(); p != "" {
		st.config.Password = p
	}
	switch {
	case st.config.Password != "" && st.config.Username == "":
		return nil, binding.Wrong("secret", "is a user's password: give the user in the url, such as http://user@host:2379")
	case st.config.Password == "" && st.config.Username != "":
		return nil, binding.Wrong("secret", "is required: the password of user %q", st.config.Username)
	}
	return st, nil
}

// sendLimit is the most bytes of a request. A member refuses less, 1.5 MiB, if
// it is not told otherwise.
const sendLimit = 64 << 20

// atOnce lets a call fail while no member can be reached. The client would wait
// for one as long as the call may take.
func atOnce(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, cc, append(opts, grpc.WaitForReady(false))...)
}

// parseURL takes the user out of a list of members. Its errors do not show the
// url, which may have a password.
func parseURL(text string) (members []string, user *url.Userinfo, err error) {
	if text == "" {
		return nil, nil, binding.Wrong("url", "is required, such as http://etcd.example.com:2379")
	}
	for one := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, nil, binding.Wrong("url", "is not of the form http://user@host:port, or several with commas between")
		}
		if u.User != nil {
			user = u.User
		}
		if u.Port() == "" {
			u.Host += ":2379"
		}
		if len(members) > 0 && !strings.HasPrefix(members[0], u.Scheme+":") {
			return nil, nil, binding.Wrong("url", "has members with and without TLS")
		}
		members = append(members, u.Scheme+"://"+u.Host)
	}
	return members, user, nil
}

// store implements [data.KeyStore]. A value's version is the cluster's revision
// that wrote it.
type store struct {
	binding.Limits
	config  clientv3.Config
	tls     secure.TLS
	secured bool
	prefix  string
	client  *clientv3.Client
}

// Open implements [binding.Binding].
func (s *store) Open(ctx context.Context) error {
	c := s.config
	if s.secured {
		tls, err := s.tls.Config()
		if err != nil {
			return data.As(data.Misuse, err)
		}
		c.TLS = tls
	}
	if until, ok := ctx.Deadline(); ok {
		c.DialTimeout = min(c.DialTimeout, max(time.Until(until), time.Millisecond))
	}
	client, err := clientv3.New(c)
	if err != nil {
		return reason(err)
	}
	if err := probe(ctx, client, s.prefix); err != nil {
		_ = client.Close()
		return err
	}
	s.client = client
	return nil
}

// probe asks for a key, as this user may.
func probe(ctx context.Context, client *clientv3.Client, prefix string) error {
	_, err := client.Get(ctx, prefix+"\x00", clientv3.WithCountOnly())
	return reason(err)
}

// Close implements [binding.Binding].
func (s *store) Close() error {
	if s.client == nil {
		return nil
	}
	return s.client.Close()
}

// Check implements [binding.Checker].
func (s *store) Check(ctx context.Context) error {
	if err := s.opened(); err != nil {
		return err
	}
	return probe(ctx, s.client, s.prefix)
}

func (s *store) opened() error {
	if s.client == nil {
		return data.Errorf(data.Away, "it is not open")
	}
	return nil
}
