package s3

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described].
func (s *source) Describe() []asyncapi.Description {
	scheme := "https"
	if s.at.plain {
		scheme = "http"
	}
	c := asyncapi.Channel{Address: s.cfg.Bucket + "/" + s.cfg.Prefix, About: "Objects of a bucket that are new or changed.", Message: asyncapi.Message{Headers: map[string]string{
		"object-bucket": "The bucket.", "object-key": "Key of the object.", "object-etag": "Its tag.", "object-size": "Its size in bytes."}}}
	if s.cfg.Suffix != "" {
		c.About += " Keys end in " + s.cfg.Suffix + "."
	}
	if !s.cfg.Fetch {
		c.Message.ContentType, c.Message.Payload = "application/json", objectSchema()
	}
	return []asyncapi.Description{{Servers: []asyncapi.Server{{Host: s.at.host, Protocol: scheme}}, Channels: []asyncapi.Channel{c}}}
}

// objectSchema is what is said of an object that is not fetched.
func objectSchema() map[string]any {
	text := map[string]any{"type": "string"}
	return map[string]any{"type": "object", "required": []string{"bucket", "key", "size"}, "properties": map[string]any{
		"bucket": text, "key": text, "etag": text, "size": map[string]any{"type": "integer"}, "modified": map[string]any{"type": "string", "format": "date-time"}}}
}
