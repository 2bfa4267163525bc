package sqs

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

const (
	protocol       = "sqs"
	bindingVersion = "0.2.0"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described].
func (s *source) Describe() []asyncapi.Description {
	c := queueChannel(s.cfg.Queue)
	if s.cfg.Owner != "" {
		c.About = "A queue of the account " + s.cfg.Owner + "."
	}
	c.Message.Headers = map[string]string{contentType: "An attribute: what the body is.", traceHeader: "The trace that the message belongs to."}
	c.Receives = asyncapi.Bindings{"queues": []any{described(s.cfg.Queue)}, "bindingVersion": bindingVersion}
	return []asyncapi.Description{{Protocol: protocol, Typed: true, Servers: []asyncapi.Server{s.at.Describe(service, protocol)}, Channels: []asyncapi.Channel{c}, Channel: queueChannel}}
}

func queueChannel(name string) asyncapi.Channel {
	return asyncapi.Channel{Address: name, Channel: asyncapi.Bindings{"queue": described(name), "bindingVersion": bindingVersion}}
}

func described(name string) map[string]any {
	return map[string]any{"name": name, "fifoQueue": isOrdered(name)}
}
