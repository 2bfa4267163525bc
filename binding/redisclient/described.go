package redisclient

import "github.com/myelin-run/myelin/asyncapi"

// Describe says where the server is.
func (c *Client) Describe() asyncapi.Server {
	s := asyncapi.Server{Host: c.options.Addr, Protocol: "redis"}
	if c.options.TLSConfig != nil {
		s.Protocol = "rediss"
	}
	if c.options.Username != "" || c.options.Password != "" {
		s.Security = "userPassword"
	}
	return s
}
