package link

import "github.com/myelin-run/myelin/asyncapi"

// Protocol is that of AMQP 0-9-1 among AsyncAPI's bindings, and BindingVersion the
// one that is written.
const (
	Protocol       = "amqp"
	BindingVersion = "0.3.0"
)

// Describe says where the brokers are.
func (a Address) Describe() (out []asyncapi.Server) {
	s := asyncapi.Server{Protocol: Protocol, ProtocolVersion: "0-9-1", Security: "userPassword"}
	if a.Secure {
		s.Protocol = "amqps"
	}
	for _, s.Host = range a.Hosts {
		out = append(out, s)
	}
	return out
}

// DescribedQueue is a queue, with the default exchange before it.
func DescribedQueue(name string) asyncapi.Channel {
	return asyncapi.Channel{Address: name, Channel: asyncapi.Bindings{"is": "queue", "queue": map[string]any{"name": name}, "bindingVersion": BindingVersion}}
}

// DescribedExchange is what is sent to an exchange under a routing key; "": the key
// is each message's own.
func DescribedExchange(exchange, key string) asyncapi.Channel {
	return asyncapi.Channel{Address: key, Channel: asyncapi.Bindings{"is": "routingKey", "exchange": map[string]any{"name": exchange}, "bindingVersion": BindingVersion}}
}
