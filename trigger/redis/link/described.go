package link

import (
	"strconv"

	"github.com/myelin-run/myelin/asyncapi"
)

// Protocol is that of Redis among AsyncAPI's bindings, which say nothing more.
const Protocol = "redis"

// Describe says where the server is.
func (s *Server) Describe() asyncapi.Server {
	out := asyncapi.Server{Host: s.Host, Protocol: Protocol}
	if s.Secure {
		out.Protocol = "rediss"
	}
	if s.User != "" || s.Password != "" {
		out.Security = "userPassword"
	}
	if s.DB != 0 {
		out.Path = "/" + strconv.Itoa(s.DB)
	}
	return out
}
