package nats

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/trigger/nats/link"
)

var _ binding.Described = (*publisher)(nil)

// Describe implements [binding.Described].
func (p *publisher) Describe() []asyncapi.Description {
	return []asyncapi.Description{{Protocol: link.Protocol, Servers: p.link.Dialer.Describe(), Channels: []asyncapi.Channel{binding.AnyTopic(p.prefix)}}}
}
