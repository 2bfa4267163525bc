package kafka

import (
	"strings"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/kafka/link"
)

var _ trigger.Described = (*Source)(nil)

// Describe implements [trigger.Described].
func (s *Source) Describe() []asyncapi.Description {
	prefix := "ce_"
	d := asyncapi.Description{Protocol: link.Protocol, CloudEvent: &prefix, Typed: true, Channel: topicChannel, Servers: s.cluster().Describe()}
	for _, t := range s.cfg.Topics {
		c := topicChannel(t)
		if strings.HasPrefix(t, "^") {
			c = asyncapi.Channel{About: "All topics whose names match " + t + "."}
		}
		c.Message.Bindings = asyncapi.Bindings{"key": map[string]any{"type": "string", "description": "Records of one key keep their order."}, "bindingVersion": link.BindingVersion}
		c.Message.Headers = map[string]string{contentType: "What the value is."}
		c.Receives = asyncapi.Bindings{"groupId": map[string]any{"type": "string", "enum": []string{s.cfg.ConsumerGroup}}, "bindingVersion": link.BindingVersion}
		d.Channels = append(d.Channels, c)
	}
	return []asyncapi.Description{d}
}

func topicChannel(name string) asyncapi.Channel {
	return asyncapi.Channel{Address: name, Channel: asyncapi.Bindings{"topic": name, "bindingVersion": link.BindingVersion}}
}
