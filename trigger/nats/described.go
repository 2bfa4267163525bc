package nats

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/nats/link"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described].
func (s *source) Describe() []asyncapi.Description {
	prefix := "ce-"
	d := asyncapi.Description{Protocol: link.Protocol, CloudEvent: &prefix, Typed: true, Servers: s.dialer.Describe(), Channel: link.Described}
	for _, subject := range s.subjects {
		c := link.Described(subject)
		if s.group != "" {
			c.Receives = asyncapi.Bindings{"queue": s.group, "bindingVersion": link.BindingVersion}
		}
		if s.cfg.Replies == "auto" {
			c.Answers = asyncapi.AsAsked
			c.Answer.About = "What the function answers, to the reply subject of the message."
		}
		d.Channels = append(d.Channels, c)
	}
	return []asyncapi.Description{d}
}
