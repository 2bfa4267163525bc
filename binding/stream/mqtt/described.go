package mqtt

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
)

var _ binding.Described = (*publisher)(nil)

// Describe implements [binding.Described].
func (p *publisher) Describe() []asyncapi.Description {
	c := binding.AnyTopic(p.prefix)
	c.Sends = asyncapi.Bindings{"qos": p.cfg.QoS, "retain": p.cfg.Retain, "bindingVersion": link.BindingVersion}
	return []asyncapi.Description{{Protocol: link.Protocol, Servers: []asyncapi.Server{p.at}, Channels: []asyncapi.Channel{c}}}
}
