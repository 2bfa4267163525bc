// Package rabbitmq is the binding of class stream that publishes to an exchange
// of RabbitMQ, which confirms. Connections and confirmations are package link's,
// as the trigger has them; what is here is how a message looks and what errors mean.
package rabbitmq

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/rabbitmq/link"
	"github.com/myelin-run/myelin/trigger/secure"
)

// Kind is the binding's name in a set.
const Kind = "stream/rabbitmq"

// Config is the binding's attributes. Its url is
// amqp://user@host:port,host:port/vhost, or amqps:// with TLS, its secret the
// password, and its path what all routing keys begin with.
type Config struct {
	binding.Limits
	// Exchange that is published to; topics are its routing keys. Default: the
	// broker's own, for which they are names of queues.
	Exchange string `json:"exchange,omitempty"`
	// Transient messages do not outlive the broker. Default false.
	Transient bool `json:"transient,omitempty"`
	// Heartbeat is how often broker and client are heard of. Default 10s.
	Heartbeat quantity.Duration `json:"heartbeat,omitempty"`
	// TLS says how a broker of amqps:// is known, and how it knows this client.
	TLS secure.TLS `json:"tls,omitzero"`
}

func defaults() Config {
	return Config{Limits: binding.DefaultLimits(), Heartbeat: quantity.Duration(10 * time.Second)}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	c.TLS.Check(&es)
	if len(c.Exchange) > 255 {
		es.Add("exchange", "has %d bytes, at most 255 are possible", len(c.Exchange))
	}
	if c.Heartbeat.Std() < time.Second {
		es.Add("heartbeat", "is %v, expected at least 1s", c.Heartbeat)
	}
	return es.Err()
}

// Factory makes bindings that publish to RabbitMQ.
func Factory() binding.Factory {
	return component.Define(Kind, "Publishes to an exchange of RabbitMQ.", defaults, build)
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	to, err := link.ParseURL(s.Spec.URL)
	if err != nil {
		return nil, binding.Wrong("url", "%s", strings.TrimPrefix(err.Error(), "url: "))
	}
	if p := s.Spec.Secret.Reveal(); p != "" {
		to.Password = p
	}
	tls, err := link.Secured(c.TLS, to.Secure)
	if err != nil {
		return nil, binding.Wrong("attributes.tls", "%s", strings.TrimPrefix(err.Error(), "tls: "))
	}
	d := &link.Dialer{To: to, TLS: tls, ConnectTimeout: c.Timeout.Std(), Heartbeat: c.Heartbeat.Std(), Name: strings.Trim("myelin "+s.Function+" "+s.Name, " ")}
	return &publisher{Limits: c.Limits, cfg: c, prefix: s.Spec.Path, at: to.Describe(), link: link.Publisher{Dial: d.Dial, Patience: c.Timeout.Std()}}, nil
}

// publisher implements [data.Publisher].
type publisher struct {
	binding.Limits
	cfg    Config
	prefix string
	at     []asyncapi.Server
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
	p.link.Close()
	return nil
}

// mostHeaders is how many bytes all headers of a message may have: they share
// one frame.
const mostHeaders = link.FrameSize / 2

// Publish implements [data.Publisher]. RabbitMQ has a message when every queue
// that it goes to has it; one that goes to none is not published.
func (p *publisher) Publish(ctx context.Context, ms []data.Message) []error {
	if !p.opened.Load() {
		return data.Failed(ms, data.Errorf(data.Away, "it is not open"))
	}
	outs := make([]link.Out, len(ms))
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

func (p *publisher) message(m *data.Message) (link.Out, error) {
	out := link.Out{Exchange: p.cfg.Exchange, Key: p.prefix + m.Topic}
	if len(out.Key) > 255 {
		return out, data.Errorf(data.Misuse, "routing key %.80q has %d bytes, at most 255 are possible", out.Key, len(out.Key))
	}
	typ, headers := m.ContentType()
	size := len(m.Key)
	out.Message = amqp.Publishing{MessageId: rand.Text(), ContentType: typ, DeliveryMode: amqp.Persistent, Timestamp: time.Now(), Body: m.Value}
	if p.cfg.Transient {
		out.Message.DeliveryMode = amqp.Transient
	}
	if len(headers) > 0 || m.Key != nil {
		out.Message.Headers = amqp.Table{}
	}
	for _, h := range headers {
		size += len(h.Key) + len(h.Value)
		out.Message.Headers[h.Key] = h.Value
	}
	if m.Key != nil {
		out.Message.Headers[data.KeyHeader] = string(m.Key)
	}
	if size > mostHeaders || len(typ) > 255 {
		return out, data.Errorf(data.TooLarge, "key and headers have %d bytes, and the content type %d: at most %d and 255 are possible", size, len(typ), mostHeaders)
	}
	return out, nil
}

// reason says what an error means.
func reason(err error) error {
	if err == nil || data.ReasonOf(err) != 0 {
		return err
	}
	var e *amqp.Error
	switch {
	case errors.Is(err, link.ErrNoRoute):
		return data.As(data.NotFound, err)
	case event.IsPermanent(err):
		return data.As(data.TooLarge, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return data.As(data.Timeout, err)
	case !errors.As(err, &e):
		return data.As(data.Away, err)
	}
	switch e.Code {
	case amqp.AccessRefused, amqp.NotAllowed:
		return data.As(data.Denied, err)
	case amqp.NotFound:
		return data.As(data.NotFound, err)
	case amqp.PreconditionFailed, amqp.ContentTooLarge:
		return data.As(data.Misuse, err)
	}
	return data.As(data.Away, err)
}
