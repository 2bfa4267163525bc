package rabbitmq

import (
	"strings"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/rabbitmq/link"
)

var _ trigger.Described = (*source)(nil)

// Describe implements [trigger.Described]: the queue, and the exchanges that bring
// messages to it.
func (s *source) Describe() []asyncapi.Description {
	prefix := "cloudEvents:"
	servers := s.dialer.To.Describe()
	d := asyncapi.Description{Protocol: link.Protocol, CloudEvent: &prefix, Typed: true, Servers: servers, Channel: letters}
	c := link.DescribedQueue(s.cfg.QueueName)
	queue := map[string]any{"name": s.cfg.QueueName, "vhost": s.dialer.To.VHost}
	if s.cfg.Topology == Declare { // else it is as somebody else has made it
		queue["durable"], queue["autoDelete"], queue["exclusive"] = *s.cfg.DurableQueue, s.cfg.AutoDelete, false
	}
	c.Channel["queue"] = queue
	c.About = s.cfg.bound()
	c.Message.Headers = map[string]string{"amqp-exchange": "The exchange that the message was sent to, as the function sees it.", "amqp-routing-key": "Its routing key, as the function sees it."}
	c.Receives = asyncapi.Bindings{"ack": true, "bindingVersion": link.BindingVersion}
	if s.cfg.Replies == "auto" {
		c.Answers = asyncapi.AsAsked
		c.Answer.About = "What the function answers, to the queue that the property reply_to names."
	}
	d.Channels = []asyncapi.Channel{c}
	return []asyncapi.Description{d}
}

// letters is where letters go: a queue, or exchange/key.
func letters(name string) asyncapi.Channel {
	exchange, key, ok := strings.Cut(name, "/")
	if !ok {
		return link.DescribedQueue(name)
	}
	return link.DescribedExchange(exchange, key)
}

// bound says how messages come to the queue.
func (c *Config) bound() (text string) {
	say := func(exchange, key string) {
		if text != "" {
			text += "\n"
		}
		text += "Bound to the exchange " + exchange
		if key != "" {
			text += " by the routing key " + key
		}
		text += "."
	}
	if c.ExchangeName != "" && len(c.Topics) == 0 {
		say(c.ExchangeName, "")
	}
	for _, key := range c.Topics {
		say(c.ExchangeName, key)
	}
	for _, b := range c.Bindings {
		say(b.Exchange, b.Key)
	}
	return text
}
