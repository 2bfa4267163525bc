package link

import "github.com/myelin-run/myelin/asyncapi"

// Protocol is Kafka's name among AsyncAPI's bindings, and BindingVersion the one
// that is written.
const (
	Protocol       = "kafka"
	BindingVersion = "0.5.0"
)

// Describe says where the brokers are.
func (c *Cluster) Describe() (out []asyncapi.Server) {
	s := asyncapi.Server{Protocol: Protocol, Security: c.SASL.security()}
	if c.TLS != nil {
		s.Protocol = "kafka-secure"
	}
	for _, s.Host = range c.Brokers {
		out = append(out, s)
	}
	return out
}

// security is the mechanism as AsyncAPI calls it.
func (s *SASL) security() string {
	if !s.On() {
		return ""
	}
	return map[string]string{Plain: "plain", Scram256: "scramSha256", Scram512: "scramSha512"}[s.mechanism()]
}
