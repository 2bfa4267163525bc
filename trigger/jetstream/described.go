package jetstream

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
	about := "Kept by the stream that has the subject."
	if s.cfg.Stream != "" {
		about = "Kept by the stream " + s.cfg.Stream + "."
	}
	topics := s.cfg.Topics
	if len(topics) == 0 {
		topics = s.cfg.Declared.Subjects
	}
	if len(topics) == 0 { // all that the stream has
		topics = []string{""}
	}
	for _, t := range topics {
		c := link.Described(t)
		c.About = about
		if s.cfg.Shards > 0 {
			c.Parameters = map[string]string{"shard": "Number of the shard, from 0: messages of one shard keep their order."}
		}
		d.Channels = append(d.Channels, c)
	}
	return []asyncapi.Description{d}
}
