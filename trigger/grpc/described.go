package grpc

import (
	"net"
	"strconv"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Described = (*Trigger)(nil)

// Describe implements [trigger.Described]. The methods of a descriptor are in a file
// that is not read here: who has a client asks by reflection.
func (t *Trigger) Describe() []asyncapi.Description {
	server := asyncapi.Server{Host: net.JoinHostPort(t.cfg.Host, strconv.Itoa(t.cfg.Port)), Protocol: "grpc"}
	if t.cfg.TLS != nil {
		server.Protocol = "grpcs"
		if t.cfg.TLS.ClientCAFile != "" {
			server.Security = "X509"
		}
	}
	const protobuf = "application/x-protobuf"
	call := func(method, about string) asyncapi.Channel {
		return asyncapi.Channel{Address: method, About: about, Message: asyncapi.Message{ContentType: protobuf}, Answers: asyncapi.Here, Answer: asyncapi.Message{ContentType: protobuf}}
	}
	d := asyncapi.Description{Servers: []asyncapi.Server{server}}
	switch {
	case t.cfg.Descriptor == "":
		d.Channels = []asyncapi.Channel{call("/"+functionName+"/Call", "Runs the function on one event."), call("/"+functionName+"/Stream", "Runs the function on each message of a stream.")}
	case t.cfg.Service != "":
		c := call("/"+t.cfg.Service+"/{method}", "A service of the function's own.")
		c.Parameters = map[string]string{"method": "A method of the service."}
		d.Channels = []asyncapi.Channel{c}
	default:
		c := call("/{service}/{method}", "Services of the function's own.")
		c.Parameters = map[string]string{"service": "A service of the descriptor.", "method": "A method of the service."}
		d.Channels = []asyncapi.Channel{c}
	}
	return []asyncapi.Description{d}
}
