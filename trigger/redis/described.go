package redis

import (
	"fmt"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described]. A message is an entry; its headers are
// the fields that mean something.
func (s *source) Describe() []asyncapi.Description {
	d := asyncapi.Description{Protocol: link.Protocol, Typed: true, Servers: []asyncapi.Server{s.to.Describe()}}
	fields := map[string]string{"content-type": "What the body is."}
	if s.cfg.KeyField != "" {
		fields[s.cfg.KeyField] = "The event's key."
	}
	body := "All fields of the entry."
	if s.cfg.BodyField != "" {
		body = fmt.Sprintf("The field %s of the entry; its other fields are headers.", s.cfg.BodyField)
	}
	for _, stream := range s.cfg.Streams {
		c := asyncapi.Channel{Address: stream, About: fmt.Sprintf("A stream that the group %s reads.", s.cfg.Group), Message: asyncapi.Message{Headers: fields, About: body}}
		if s.cfg.Shards > 0 {
			c.Address += ":{shard}"
			c.About = fmt.Sprintf("A stream in %d keys.", s.cfg.Shards)
			c.Parameters = map[string]string{"shard": fmt.Sprintf("Number of the shard, 0 to %d: entries of one shard keep their order.", s.cfg.Shards-1)}
		}
		d.Channels = append(d.Channels, c)
	}
	return []asyncapi.Description{d}
}
