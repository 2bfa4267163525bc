// Package rabbitmq is the trigger that consumes a queue of RabbitMQ, over AMQP
// 0-9-1. It holds what is peculiar to the broker: connecting, declaring what is
// consumed, acks, publishing with confirms. Attempts, dead letters, batches and
// the drain are the queue engine's. It knows no worker and no runtime.
package rabbitmq

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/rabbitmq/link"
)

// Kind is the trigger's name in a spec, and NuclioKind what specs of Nuclio
// call it: with that name queues and exchanges are declared, and those that it
// declares are not durable, unless the attributes say otherwise.
const (
	Kind       = "rabbitmq"
	NuclioKind = "rabbit-mq"
)

// Factory makes RabbitMQ triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the messages of a RabbitMQ queue.", defaults, build).Alias(NuclioKind, "rabbitMq")
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	src, err := newSource(s, cfg)
	if err != nil {
		return nil, err
	}
	return queue.New(s, queue.Options{Kind: Kind, Requeues: true, Rejects: true, Prefetch: cfg.PrefetchCount}, src)
}

// newSource checks what the configuration alone cannot tell, and opens nothing.
func newSource(s trigger.Settings, cfg Config) (*source, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	to, err := link.ParseURL(s.Spec.URL)
	if err != nil {
		return nil, err
	}
	if to.Password != "" {
		s.Log.Warn("the url has a password, which is shown to whoever may see the function; the field password is not")
	}
	if s.Spec.Username != "" {
		to.User = s.Spec.Username
	}
	if p := s.Spec.Password.Reveal(); p != "" {
		to.Password = p
	}
	if cfg.VHost != "" {
		to.VHost = cfg.VHost
	}
	if at := s.Spec.StartAt; at != "" && at != "earliest" {
		return nil, fmt.Errorf("startAt: %q: a queue of RabbitMQ keeps nothing that was read, and begins with what it has", at)
	}
	cfg.complete(s)
	if cfg.QueueName == "" {
		return nil, errors.New("queueName: is required, unless the topology is declared")
	}
	if err := checkRejects(s, cfg); err != nil {
		return nil, err
	}
	tls, err := link.Secured(cfg.TLS, to.Secure)
	if err != nil {
		return nil, err
	}
	src := &source{settings: s, cfg: cfg, log: s.Log, dialer: link.Dialer{To: to, TLS: tls, Name: connectionName(s),
		ConnectTimeout: cfg.ConnectTimeout.Std(), Heartbeat: cfg.Heartbeat.Std()}}
	src.replies = &link.Publisher{Dial: src.dialer.Dial}
	return src, nil
}

func connectionName(s trigger.Settings) string {
	return strings.Trim("myelin "+s.Function+" "+s.Name, " ")
}

// checkRejects finds a queue that would lose what is rejected. Where this
// trigger does not declare the queue, a policy of the broker may say where such
// messages go, and nobody can ask.
func checkRejects(s trigger.Settings, cfg Config) error {
	d := s.Spec.OnFailure
	if cfg.DeadLetterExchange != nil || cfg.DeadLetterQueue != "" {
		return nil
	}
	switch {
	case d != nil && d.Kind == "broker" && cfg.Topology == Declare:
		return errors.New("onFailure: the kind broker rejects failed messages, and the queue that is declared here would drop them: set deadLetterQueue or deadLetterExchange")
	case d != nil && d.Kind == "broker", d == nil && s.Letters == nil:
		s.Log.Warn("messages that fail for good are rejected: without a dead letter exchange the broker drops them", "queue", cfg.QueueName)
	}
	return nil
}

// complete fills in what depends on the rest of the spec.
func (c *Config) complete(s trigger.Settings) {
	nuclio := s.Spec.Kind != Kind && s.Spec.Kind != ""
	if c.Topology == "" {
		c.Topology = Check
		if nuclio {
			c.Topology = Declare
		}
	}
	for _, durable := range []**bool{&c.DurableExchange, &c.DurableQueue} {
		if *durable == nil {
			d := !nuclio
			*durable = &d
		}
	}
	if c.QueueName == "" && c.Topology == Declare {
		c.QueueName = fmt.Sprintf("myelin-%s-%s", s.Function, s.Name)
	}
	if c.ConsumerTag == "" {
		c.ConsumerTag = strings.Trim(s.Function+"/"+s.Name, "/")
	}
	if c.QueueType == "" && c.Topology == Declare && *c.DurableQueue && !c.AutoDelete && c.MaxPriority == 0 {
		c.QueueType = Quorum
	}
}
