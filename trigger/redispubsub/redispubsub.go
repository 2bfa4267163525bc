// Package redispubsub is the trigger that subscribes to channels of Redis. It holds
// what is peculiar to them: patterns, sharded channels, a buffer that is bounded
// because the server keeps nothing. It stands on the queue engine, and knows no
// worker and no runtime. A message that is not here when it is sent is lost.
package redispubsub

import (
	"fmt"
	"slices"
	"time"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// Kind is the trigger's name in a spec.
const Kind = "redisPubSub"

// Config is the trigger's attributes. Address, user and password are the
// trigger's own url, username and password.
type Config struct {
	// Channels that are subscribed to.
	Channels []string `json:"channels,omitempty"`
	// Patterns of channels, as PSUBSCRIBE takes them: news.*. A message that fits
	// several subscriptions comes once for each.
	Patterns []string `json:"patterns,omitempty"`
	// Sharded says that the channels are sharded ones (SSUBSCRIBE, Redis 7).
	Sharded bool `json:"sharded,omitempty"`
	// Pending is how many messages wait in the processor, beyond the prefetch,
	// before further ones are dropped. Default 65536.
	Pending int `json:"pending,omitempty"`
	// PendingBytes is how large they may be together. Default 64Mi.
	PendingBytes quantity.Size `json:"pendingBytes,omitempty"`
	// PingInterval is how often the server is asked whether it is there. It is
	// given up when nothing came for three times as long. Default 10s.
	PingInterval quantity.Duration `json:"pingInterval,omitempty"`
	link.Options
}

func defaults() Config {
	return Config{Pending: 1 << 16, PendingBytes: 64 << 20, PingInterval: quantity.Duration(10 * time.Second), Options: link.Defaults()}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	if len(c.Channels)+len(c.Patterns) == 0 {
		es.Add("channels", "is required, or patterns: what to subscribe to, such as [news]")
	}
	names(&es, "channels", c.Channels)
	names(&es, "patterns", c.Patterns)
	if c.Sharded && len(c.Patterns) > 0 {
		es.Add("patterns", "sharded channels have none")
	}
	if c.Pending < 1 || c.Pending > 1<<24 {
		es.Add("pending", "is %d, expected 1 to %d", c.Pending, 1<<24)
	}
	if c.PendingBytes < 1 {
		es.Add("pendingBytes", "is %d, expected at least 1", int64(c.PendingBytes))
	}
	link.AtLeast(&es, "pingInterval", c.PingInterval, 100*time.Millisecond)
	c.Check(&es)
	return es.Err()
}

func names(es *document.Errors, field string, all []string) {
	for i, s := range all {
		switch at := fmt.Sprintf("%s[%d]", field, i); {
		case s == "":
			es.Add(at, "is empty")
		case slices.Contains(all[:i], s):
			es.Add(at, "%q is there twice", s)
		}
	}
}

// Factory makes triggers of channels.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the messages of Redis channels.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	s.Log = link.Logger(s.Log)
	to, err := link.New(s, cfg.Options)
	if err != nil {
		return nil, err
	}
	if at := s.Spec.StartAt; at != "" && at != "latest" {
		return nil, &trigger.SpecError{Err: document.Under("startAt", fmt.Errorf("%q: channels keep no messages; the kind redis reads what a stream keeps", at))}
	}
	src := &source{cfg: cfg, log: s.Log, to: to, name: fmt.Sprintf("myelin-%s-%s", s.Function, s.Name)}
	return queue.New(s, queue.Options{Kind: Kind, Prefetch: 256}, src)
}
