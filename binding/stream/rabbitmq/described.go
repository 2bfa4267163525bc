package rabbitmq

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/trigger/rabbitmq/link"
)

var _ binding.Described = (*publisher)(nil)

// Describe implements [binding.Described]. Topics are routing keys, of the
// broker's own exchange if no other is named.
func (p *publisher) Describe() []asyncapi.Description {
	c := binding.AnyTopic(p.prefix)
	c.Channel = link.DescribedExchange(p.cfg.Exchange, "").Channel
	mode := 2
	if p.cfg.Transient {
		mode = 1
	}
	c.Sends = asyncapi.Bindings{"deliveryMode": mode, "bindingVersion": link.BindingVersion}
	return []asyncapi.Description{{Protocol: link.Protocol, Servers: p.at, Channels: []asyncapi.Channel{c}}}
}
