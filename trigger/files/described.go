package files

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described]: a directory is on no server.
func (s *source) Describe() []asyncapi.Description {
	c := asyncapi.Channel{Address: s.cfg.Directory, About: "A directory, of which files named " + s.cfg.Pattern + " are taken.", Message: asyncapi.Message{Headers: map[string]string{
		"file-name": "Name of the file.", "file-path": "Where it is while the function runs.", "file-size": "Its size in bytes.", "file-modified": "When it was last written."}}}
	if s.cfg.Body == Nothing {
		c.Message.About = "The body is empty: the function reads the file."
	}
	return []asyncapi.Description{{Servers: []asyncapi.Server{asyncapi.Local("file")}, Channels: []asyncapi.Channel{c}}}
}
