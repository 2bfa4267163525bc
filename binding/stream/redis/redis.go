// Package redis is the binding of class stream that adds entries to Redis
// Streams. It knows how a message looks as fields; what is peculiar to the
// connection is package redisclient's.
package redis

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/redisclient"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
)

// Kind is the binding's name in a set.
const Kind = "stream/redis"

// Config is the binding's attributes. Its url is redis://user@host:port/db, or
// rediss:// with TLS, its secret the password, and its path what the names of all
// streams begin with.
type Config struct {
	binding.Limits
	// CAFile has the authorities to trust, in PEM. Default: the system's.
	CAFile string `json:"caFile,omitempty"`
	// BodyField and KeyField are the fields that have a message's value and key.
	// Default body and key. Headers are fields of their own names.
	BodyField string `json:"bodyField,omitempty"`
	KeyField  string `json:"keyField,omitempty"`
	// MaxLength is about how many entries a stream keeps. Default 0: all.
	MaxLength int64 `json:"maxLength,omitempty"`
}

func defaults() Config {
	return Config{Limits: binding.DefaultLimits(), BodyField: "body", KeyField: "key"}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	if c.BodyField == "" || c.BodyField == c.KeyField {
		es.Add("bodyField", "is %q, expected a name, and another than that of keyField", c.BodyField)
	}
	if c.MaxLength < 0 {
		es.Add("maxLength", "is %d, expected 0 or more", c.MaxLength)
	}
	return es.Err()
}

// Factory makes bindings that publish to Redis Streams.
func Factory() binding.Factory {
	return component.Define(Kind, "Adds entries to Redis Streams.", defaults, build)
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	client, err := redisclient.New(s, c.Limits, c.CAFile)
	if err != nil {
		return nil, err
	}
	return &publisher{Client: client, Limits: c.Limits, cfg: c, prefix: s.Spec.Path}, nil
}

// publisher implements [data.Publisher].
type publisher struct {
	*redisclient.Client
	binding.Limits
	cfg    Config
	prefix string
}

// Publish implements [data.Publisher]: all entries in one round trip. Redis has
// an entry, as safe as it is configured to keep it, when it answers.
func (p *publisher) Publish(ctx context.Context, ms []data.Message) []error {
	db, err := p.DB()
	if err != nil {
		return data.Failed(ms, err)
	}
	cmds := make([]*redis.Cmd, len(ms))
	_, _ = db.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each command has its own error
		for i := range ms {
			cmds[i] = pipe.Do(ctx, p.command(&ms[i])...)
		}
		return nil
	})
	errs := make([]error, len(ms))
	for i, cmd := range cmds {
		errs[i] = redisclient.Reason(cmd.Err())
	}
	return errs
}

// command is the XADD of a message.
func (p *publisher) command(m *data.Message) []any {
	args := []any{"xadd", p.prefix + m.Topic}
	if p.cfg.MaxLength > 0 {
		args = append(args, "maxlen", "~", p.cfg.MaxLength)
	}
	args = append(args, "*", p.cfg.BodyField, m.Value)
	if m.Key != nil && p.cfg.KeyField != "" {
		args = append(args, p.cfg.KeyField, m.Key)
	}
	for _, h := range m.Headers {
		if !strings.EqualFold(h.Key, p.cfg.BodyField) && !strings.EqualFold(h.Key, p.cfg.KeyField) {
			args = append(args, h.Key, h.Value)
		}
	}
	return args
}
