package link

import "github.com/myelin-run/myelin/asyncapi"

// Protocol is MQTT's name among AsyncAPI's bindings, and BindingVersion the one
// that is written.
const (
	Protocol       = "mqtt"
	BindingVersion = "0.2.0"
)

// Describe says where the broker is.
func (d *Dialer) Describe() asyncapi.Server {
	s := asyncapi.Server{Host: d.To.Host, Protocol: Protocol, ProtocolVersion: map[int]string{4: "3.1.1", 5: "5"}[d.Version]}
	if d.To.Secure {
		s.Protocol = "secure-mqtt"
	}
	if d.To.User != "" {
		s.Security = "userPassword"
	}
	return s
}

// Described is a topic.
func Described(topic string) asyncapi.Channel { return asyncapi.Channel{Address: topic} }
