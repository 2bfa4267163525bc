package smtp

import (
	"net"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Described = (*Trigger)(nil)

// Describe implements [trigger.Described].
func (t *Trigger) Describe() []asyncapi.Description {
	server := asyncapi.Server{Host: net.JoinHostPort(t.cfg.Host, strconv.Itoa(t.cfg.Port)), Protocol: "smtp"}
	if _, _, asks := credentials(t.settings.Spec); asks {
		server.Security = "userPassword"
	}
	c := asyncapi.Channel{About: "Mail to anybody.", Message: asyncapi.Message{ContentType: "message/rfc822"}}
	if len(t.cfg.Recipients) > 0 {
		c.About = "Mail to " + strings.Join(t.cfg.Recipients, ", ") + "."
	}
	return []asyncapi.Description{{Servers: []asyncapi.Server{server}, Channels: []asyncapi.Channel{c}}}
}
