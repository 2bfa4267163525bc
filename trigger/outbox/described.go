package outbox

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described].
func (s *source) Describe() []asyncapi.Description {
	c := asyncapi.Channel{Address: s.cfg.Table, About: "The rows of an outbox, which are written in the transaction that decides what is to happen.", Message: asyncapi.Message{Headers: link.Columns(s.cfg.Headers)}}
	if s.cfg.BodyColumn == "" {
		c.Message.ContentType, c.Message.Payload = "application/json", link.RowSchema()
	}
	return []asyncapi.Description{{Servers: s.at.Describe(), Channels: []asyncapi.Channel{c}}}
}
