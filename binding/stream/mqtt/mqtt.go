// Package mqtt is the binding of class stream that publishes to topics of an
// MQTT broker, which confirms. Connections and confirmations are package link's,
// as the trigger has them; what is here is how a message looks and what errors mean.
package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Kind is the binding's name in a set.
const Kind = "stream/mqtt"

// Config is the binding's attributes. Its url is mqtt://user@host:port, or
// mqtts:// with TLS, its secret the password, and its path what all topics begin
// with.
type Config struct {
	binding.Limits
	// QoS that messages are published with: 1 (default), or 2, with which a
	// broker has each once. It confirms both.
	QoS int `json:"qos,omitempty"`
	// Retain has the broker keep the last message of each topic for who
	// subscribes later. Default false.
	Retain bool `json:"retain,omitempty"`
	// Version of MQTT: 5, or 3 for 3.1.1, which has neither keys nor headers.
	// Default: 5, and 3.1.1 if the broker knows no other.
	Version int `json:"version,omitempty"`
	// KeepAlive is how long the connection may be silent before it counts as
	// lost. Default 20s.
	KeepAlive quantity.Duration `json:"keepAlive,omitempty"`
	// TLS says how a broker of mqtts:// is known, and how it knows this client.
	TLS secure.TLS `json:"tls,omitzero"`
}

func defaults() Config {
	return Config{Limits: binding.DefaultLimits(), QoS: 1, KeepAlive: quantity.Duration(20 * time.Second)}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	c.TLS.Check(&es)
	if c.QoS != 1 && c.QoS != 2 {
		es.Add("qos", "is %d, expected 1 or 2: a broker confirms nothing else", c.QoS)
	}
	if c.Version != 0 && c.Version != 3 && c.Version != 5 {
		es.Add("version", "is %d, expected 5, or 3 for 3.1.1", c.Version)
	}
	if d := c.KeepAlive.Std(); d < time.Second || d > 18*time.Hour {
		es.Add("keepAlive", "is %v, expected 1s to 18h", c.KeepAlive)
	}
	return es.Err()
}

// Factory makes bindings that publish to MQTT.
func Factory() binding.Factory {
	return component.Define(Kind, "Publishes to topics of an MQTT broker.", defaults, build)
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	to, err := link.ParseURL(s.Spec.URL)
	if err != nil {
		return nil, binding.Wrong("url", "%s", strings.TrimPrefix(err.Error(), "url: "))
	}
	if p := s.Spec.Secret.Reveal(); p != "" {
		to.Password = p
	}
	switch {
	case to.Password != "" && to.User == "":
		return nil, binding.Wrong("url", "has no user, and secret is a password: write mqtt://user@host")
	case !to.Secure && c.TLS != secure.TLS{}:
		return nil, binding.Wrong("attributes.tls", "is only for an url that begins with mqtts://")
	}
	version := c.Version
	if version == 3 {
		version = 4 // as the protocol numbers it
	}
	d := &link.Dialer{To: to, TLS: c.TLS, Version: version, KeepAlive: c.KeepAlive.Std(), Timeout: c.Timeout.Std(), Log: s.Log}
	owner := strings.Trim("myelin-"+s.Function+"-"+s.Name, "-")
	dial := func(ctx context.Context) (*link.Conn, error) { return d.Dial(ctx, d.Hello(link.Unnamed(owner))) }
	return &publisher{Limits: c.Limits, cfg: c, prefix: s.Spec.Path, at: d.Describe(),
		link: link.Publisher{Dial: dial, Connects: c.Timeout.Std(), Patience: c.Timeout.Std()}}, nil
}

// publisher implements [data.Publisher].
type publisher struct {
	binding.Limits
	cfg    Config
	prefix string
	at     asyncapi.Server
	link   link.Publisher
	opened atomic.Bool
}

// Open implements [binding.Binding].
func (p *publisher) Open(ctx context.Context) error {
	if err := p.link.Connect(ctx); err != nil {
		return reason(err)
	}
	p.opened.Store(true)
	return nil
}

// Check implements [binding.Checker].
func (p *publisher) Check(ctx context.Context) error {
	if !p.opened.Load() {
		return data.Errorf(data.Away, "it is not open")
	}
	return reason(p.link.Connect(ctx))
}

// Close implements [binding.Binding].
func (p *publisher) Close() error {
	p.opened.Store(false)
	return p.link.Close()
}

// Publish implements [data.Publisher]. The broker has a message when it says so;
// whether anybody listens is another matter.
func (p *publisher) Publish(ctx context.Context, ms []data.Message) []error {
	if !p.opened.Load() {
		return data.Failed(ms, data.Errorf(data.Away, "it is not open"))
	}
	outs := make([]link.Message, len(ms))
	for i := range ms {
		var err error
		if outs[i], err = p.message(&ms[i]); err != nil {
			return data.Failed(ms, err)
		}
	}
	errs := p.link.PublishAll(ctx, outs)
	for i := range errs {
		errs[i] = reason(errs[i])
	}
	return errs
}

// reason says what an error means.
func reason(err error) error {
	if err == nil || data.ReasonOf(err) != 0 {
		return err
	}
	var no *link.Refusal
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return data.As(data.Timeout, err)
	case event.IsPermanent(err):
		return data.As(data.TooLarge, err)
	case !errors.As(err, &no):
		return data.As(data.Away, err)
	case no.Denied():
		return data.As(data.Denied, err)
	case no.Code == link.TopicInvalid, no.Code == link.FormatInvalid, no.Code == link.NoRetain:
		return data.As(data.Misuse, err)
	case no.Code == link.PacketTooLarge:
		return data.As(data.TooLarge, err)
	}
	return data.As(data.Away, err)
}
