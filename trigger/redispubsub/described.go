package redispubsub

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described].
func (s *source) Describe() []asyncapi.Description {
	d := asyncapi.Description{Protocol: link.Protocol, Servers: []asyncapi.Server{s.to.Describe()}}
	about := "A channel."
	if s.cfg.Sharded {
		about = "A sharded channel, to which one publishes with SPUBLISH."
	}
	for _, name := range s.cfg.Channels {
		d.Channels = append(d.Channels, asyncapi.Channel{Address: name, About: about})
	}
	for _, pattern := range s.cfg.Patterns {
		d.Channels = append(d.Channels, asyncapi.Channel{Address: pattern, About: "All channels whose names fit the pattern, as PSUBSCRIBE has it."})
	}
	return []asyncapi.Description{d}
}
