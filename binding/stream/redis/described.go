package redis

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/binding"
)

var _ binding.Described = (*publisher)(nil)

// Describe implements [binding.Described]: topics are streams.
func (p *publisher) Describe() []asyncapi.Description {
	c := binding.AnyTopic(p.prefix)
	c.About = "A stream."
	c.Message.Headers = map[string]string{p.cfg.BodyField: "The field that has the value.", p.cfg.KeyField: "The field that has the key."}
	return []asyncapi.Description{{Protocol: "redis", Servers: []asyncapi.Server{p.Client.Describe()}, Channels: []asyncapi.Channel{c}}}
}
