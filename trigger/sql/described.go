package sql

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described]. A query is not told: it may have values
// that are not for everybody.
func (s *source) Describe() []asyncapi.Description {
	c := asyncapi.Channel{Address: s.cfg.Table, About: "The rows of a table", Message: asyncapi.Message{Headers: link.Columns(s.cfg.Headers)}}
	if s.cfg.Table == "" {
		c.About = "The rows of a query"
	}
	c.About += ", in the order of the column " + s.cfg.Watermark + "."
	if s.cfg.BodyColumn == "" {
		c.Message.ContentType, c.Message.Payload = "application/json", link.RowSchema()
	}
	return []asyncapi.Description{{Servers: s.at.Describe(), Channels: []asyncapi.Channel{c}}}
}
