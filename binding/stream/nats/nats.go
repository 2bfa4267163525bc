// Package nats is the binding of class stream that publishes to NATS: to whoever
// listens, or to JetStream, which confirms. Connections are made as the triggers
// of NATS make theirs, by package link; what is here is how a message looks and
// what errors mean.
package nats

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/nats/link"
)

// The kinds of the binding in a set.
const (
	Kind      = "stream/nats"
	JetStream = "stream/jetstream"
)

// Config is the binding's attributes. Its url is nats://user@host:port, several
// divided by commas, its secret the user's password or, without a user, the
// token, and its path what all subjects begin with.
type Config struct {
	binding.Limits
	link.Options
}

func defaults() Config { return Config{Limits: binding.DefaultLimits(), Options: link.Defaults()} }

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Limits.Check(&es)
	c.Options.Check(&es)
	return es.Err()
}

// Factory makes bindings that publish to NATS. One whose spec has the kind
// jetstream waits until a stream has the message.
func Factory() binding.Factory {
	return component.Define(Kind, "Publishes to subjects of NATS, or to streams of its JetStream.", defaults, build).Alias(JetStream)
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	spec := function.Trigger{URL: s.Spec.URL}
	if u, err := url.Parse(strings.TrimSpace(strings.Split(s.Spec.URL, ",")[0])); err == nil && u.User.Username() != "" {
		spec.Password = s.Spec.Secret
	} else {
		spec.Secret = s.Spec.Secret
	}
	d, err := link.New(trigger.Settings{Name: s.Name, Function: s.Function, Spec: spec, Log: slog.New(slog.DiscardHandler)}, c.Options)
	if err != nil {
		return nil, binding.Wrong("url", "%s", strings.TrimPrefix(err.Error(), "url: "))
	}
	return &publisher{Limits: c.Limits, link: link.Publisher{Dialer: d}, prefix: s.Spec.Path, confirmed: "stream/"+s.Spec.Kind == JetStream}, nil
}

// publisher implements [data.Publisher].
type publisher struct {
	binding.Limits
	link      link.Publisher
	prefix    string
	confirmed bool // by JetStream
	opened    atomic.Bool

	mu     sync.Mutex
	of     *link.Conn // what stream is of
	stream jetstream.JetStream
}

// Open implements [binding.Binding].
func (p *publisher) Open(ctx context.Context) error {
	p.opened.Store(true)
	if err := p.Check(ctx); err != nil {
		p.opened.Store(false)
		return err
	}
	return nil
}

// Check implements [binding.Checker].
func (p *publisher) Check(ctx context.Context) error {
	c, err := p.conn(ctx)
	if err == nil {
		err = reason(c.Sync(ctx))
	}
	if err != nil || !p.confirmed {
		return err
	}
	js, err := p.jetStream(c)
	if err == nil {
		_, err = js.AccountInfo(ctx)
	}
	return reason(err)
}

// Close implements [binding.Binding].
func (p *publisher) Close() error {
	p.opened.Store(false)
	p.link.Close()
	return nil
}

func (p *publisher) conn(ctx context.Context) (*link.Conn, error) {
	if !p.opened.Load() {
		return nil, data.Errorf(data.Away, "it is not open")
	}
	c, err := p.link.Conn(ctx)
	return c, reason(err)
}

// together is how many messages of one call are on their way at once.
const together = 256

// jetStream returns the client of streams on c.
func (p *publisher) jetStream(c *link.Conn) (jetstream.JetStream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == c {
		return p.stream, nil
	}
	js, err := jetstream.New(c.Conn, jetstream.WithPublishAsyncMaxPending(together*p.MaxCalls))
	if err != nil {
		return nil, err
	}
	p.of, p.stream = c, js
	return js, nil
}
