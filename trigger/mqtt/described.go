package mqtt

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described].
func (s *source) Describe() []asyncapi.Description {
	prefix := "" // the attributes are user properties by their own names
	server := s.dialer.Describe()
	server.Bindings = asyncapi.Bindings{"cleanSession": s.cfg.CleanSession, "keepAlive": int(s.cfg.KeepAlive.Std().Seconds()), "bindingVersion": link.BindingVersion}
	d := asyncapi.Description{Protocol: link.Protocol, CloudEvent: &prefix, Typed: true, Servers: []asyncapi.Server{server}, Channel: func(name string) asyncapi.Channel {
		c := link.Described(name)
		c.Sends = asyncapi.Bindings{"qos": s.cfg.PublishQoS, "retain": false, "bindingVersion": link.BindingVersion}
		return c
	}}
	if s.cfg.version() == 4 {
		d.CloudEvent, d.Typed = nil, false
	}
	for _, sub := range s.cfg.Subscriptions {
		c := link.Described(sub.Topic)
		if s.cfg.Group != "" {
			c.About = "Read by the shared subscription " + s.cfg.Group + "."
		}
		c.Receives = asyncapi.Bindings{"qos": sub.QoS, "bindingVersion": link.BindingVersion}
		if s.cfg.Replies == "auto" && s.cfg.version() != 4 {
			c.Answers = asyncapi.AsAsked
			c.Answer.About = "What the function answers, to the response topic of the message."
		}
		d.Channels = append(d.Channels, c)
	}
	return []asyncapi.Description{d}
}
