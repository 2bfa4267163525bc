package amazon

import "github.com/myelin-run/myelin/asyncapi"

// Describe says where a service is, by the protocol that AsyncAPI knows it by.
func (p *Place) Describe(s Service, protocol string) asyncapi.Server {
	host := p.host
	if host == "" {
		host = p.own(s)
	}
	return asyncapi.Server{Host: host, Protocol: protocol}
}
