package v3io

import (
	"fmt"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described]. The platform's streams are written and
// read by HTTP; AsyncAPI has no protocol of their own.
func (s *source) Describe() []asyncapi.Description {
	c := asyncapi.Channel{Address: s.topic(), About: fmt.Sprintf("A V3IO stream that the group %s reads.", s.cfg.ConsumerGroup),
		Message: asyncapi.Message{Headers: map[string]string{clientInfo: "The record's client info."}}}
	return []asyncapi.Description{{Servers: []asyncapi.Server{{Host: s.web.base.Host, Protocol: s.web.base.Scheme}}, Channels: []asyncapi.Channel{c}}}
}
