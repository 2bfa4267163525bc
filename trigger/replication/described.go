package replication

import (
	"maps"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described]: a channel for each table.
func (s *source) Describe() []asyncapi.Description {
	m := asyncapi.Message{Headers: map[string]string{"operation": "insert, update, delete or truncate.", "table": "The table with its schema."}}
	maps.Copy(m.Headers, link.Columns(s.cfg.Headers))
	if s.cfg.BodyColumn == "" {
		m.ContentType, m.Payload = "application/json", changeSchema()
	}
	tables := s.cfg.Tables
	if len(tables) == 0 || tables[0] == everyTable {
		tables = []string{""}
	}
	d := asyncapi.Description{Servers: s.at.Describe()}
	for _, t := range tables {
		d.Channels = append(d.Channels, asyncapi.Channel{Address: t, About: "Changes of rows that the publication " + s.cfg.Publication + " has.", Message: m})
	}
	return []asyncapi.Description{d}
}

// changeSchema is what a change looks like.
func changeSchema() map[string]any {
	text, row := map[string]any{"type": "string"}, map[string]any{"type": "object"}
	return map[string]any{"type": "object", "required": []string{"operation", "schema", "table"}, "properties": map[string]any{
		"operation": map[string]any{"type": "string", "enum": operations}, "schema": text, "table": text, "lsn": text, "commitLsn": text,
		"xid": map[string]any{"type": "integer"}, "time": map[string]any{"type": "string", "format": "date-time"},
		"new": row, "old": row, "unchanged": map[string]any{"type": "array", "items": text},
		"cascade": map[string]any{"type": "boolean"}, "restartIdentity": map[string]any{"type": "boolean"},
	}}
}
