package kinesis

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described]. AsyncAPI has no bindings of Kinesis.
func (s *source) Describe() []asyncapi.Description {
	c := asyncapi.Channel{Address: s.cfg.StreamName, About: "A stream of Amazon Kinesis, whose records of one partition key keep their order."}
	return []asyncapi.Description{{Servers: []asyncapi.Server{s.at.Describe(service, "kinesis")}, Channels: []asyncapi.Channel{c}}}
}
