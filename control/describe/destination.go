package describe

import (
	"net/url"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/function"
)

// destination adds what is sent of an event to where the trigger says. What the
// platform keeps, the broker does by itself or nobody gets is no operation.
func (w *writer) destination(name string, to *function.Destination, from asyncapi.Description, m asyncapi.Message) {
	if to == nil {
		return
	}
	var d asyncapi.Description
	switch to.Kind {
	case "topic":
		d = asyncapi.Description{Protocol: from.Protocol, Servers: from.Servers}
		c := asyncapi.Channel{Address: to.Topic}
		if from.Channel != nil {
			c = from.Channel(to.Topic)
		}
		m.Bindings = c.Message.Bindings
		c.Message = m
		d.Channels = []asyncapi.Channel{c}
	case "function":
		d = posted(asyncapi.Channel{About: "A call of the function " + to.Function + "."}, m)
		d.Servers = w.gateways(nil)
	case "http":
		u, err := url.Parse(to.URL)
		if err != nil {
			return // what is configured has been checked
		}
		d = posted(asyncapi.Channel{About: "A path of this server, which may be a secret and is not told."}, m)
		d.Servers = []asyncapi.Server{{Host: u.Host, Protocol: u.Scheme}}
	default:
		return
	}
	w.doc.Send(name, d, m.About)
}

// posted is a channel to which is sent by HTTP.
func posted(c asyncapi.Channel, m asyncapi.Message) asyncapi.Description {
	c.Message, c.Sends = m, asyncapi.Bindings{"method": "POST", "bindingVersion": "0.3.0"}
	return asyncapi.Description{Protocol: "http", Channels: []asyncapi.Channel{c}}
}
