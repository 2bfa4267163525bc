package redislist

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described].
func (s *source) Describe() []asyncapi.Description {
	d := asyncapi.Description{Protocol: link.Protocol, Servers: []asyncapi.Server{s.to.Describe()}}
	command := "RPUSH"
	if s.cfg.End == right {
		command = "LPUSH"
	}
	for _, list := range s.cfg.Lists {
		d.Channels = append(d.Channels, asyncapi.Channel{Address: list, About: "A list, to which one adds with " + command + ".", Message: asyncapi.Message{ContentType: s.cfg.ContentType}})
	}
	return []asyncapi.Description{d}
}
