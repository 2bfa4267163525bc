package imap

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described].
func (s *source) Describe() []asyncapi.Description {
	server := asyncapi.Server{Host: s.to.Address, Protocol: "imap", Security: "userPassword"}
	if s.to.host != "" && !s.to.StartTLS {
		server.Protocol = "imaps"
	}
	c := asyncapi.Channel{Address: s.cfg.Mailbox, About: "A mailbox.", Message: asyncapi.Message{ContentType: "message/rfc822"}}
	return []asyncapi.Description{{Servers: []asyncapi.Server{server}, Channels: []asyncapi.Channel{c}}}
}
