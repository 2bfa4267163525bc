package rabbitmq

import (
	"errors"
	"fmt"
	"math"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// prepare makes or checks what is consumed, on a channel of its own: the broker
// closes a channel with each refusal.
func (c *Config) prepare(conn *amqp.Connection) error {
	if c.Topology == None {
		return nil
	}
	var steps []step
	if c.Topology == Declare {
		steps = c.declare()
	} else {
		steps = c.check()
	}
	for _, s := range steps {
		ch, err := conn.Channel()
		if err != nil {
			return fmt.Errorf("open channel: %w", err)
		}
		if err := s.do(ch); err != nil {
			return refused(s.what, err)
		}
		if err := ch.Close(); err != nil {
			return fmt.Errorf("close channel: %w", err)
		}
	}
	return nil
}

type step struct {
	what string
	do   func(*amqp.Channel) error
}

func (c *Config) declare() (steps []step) {
	add := func(what string, do func(*amqp.Channel) error) { steps = append(steps, step{what, do}) }
	switch {
	case c.ExchangeName == "":
	case strings.HasPrefix(c.ExchangeName, "amq."): // the broker's own
		add(c.exchange(), c.seeExchange(c.ExchangeName))
	default:
		add(c.exchange(), c.makeExchange)
	}
	if x := c.DeadLetterExchange; x != nil && *x != "" { // what is sent to one that is not there is lost
		add(fmt.Sprintf("dead letter exchange %q", *x), c.seeExchange(*x))
	}
	if q := c.DeadLetterQueue; q != "" {
		add(fmt.Sprintf("queue %q", q), func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(q, *c.DurableQueue, false, false, false, c.typeOnly())
			return err
		})
	}
	add(c.queue(), c.makeQueue)
	for _, b := range c.bindings() {
		add(fmt.Sprintf("binding of queue %q to exchange %q by %q", c.QueueName, b.Exchange, b.Key), func(ch *amqp.Channel) error {
			return ch.QueueBind(c.QueueName, b.Key, b.Exchange, false, table(b.Arguments))
		})
	}
	return steps
}

// check looks for what is configured. The broker can be asked whether a thing
// is there, not how it is: that it tells whoever declares it, once it is there.
// Bindings it tells to nobody.
func (c *Config) check() (steps []step) {
	add := func(what string, do func(*amqp.Channel) error) { steps = append(steps, step{what, do}) }
	if c.ExchangeName != "" {
		add(c.exchange(), c.seeExchange(c.ExchangeName))
	}
	add(c.queue(), func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(c.QueueName, false, false, false, false, nil)
		return err
	})
	if c.shaped() {
		add(c.queue(), c.makeQueue)
	}
	return steps
}

// shaped says whether the configuration says how the queue is.
func (c *Config) shaped() bool {
	return c.QueueType != "" || len(c.arguments()) > 0
}

func (c *Config) exchange() string { return fmt.Sprintf("exchange %q", c.ExchangeName) }
func (c *Config) queue() string    { return fmt.Sprintf("queue %q", c.QueueName) }

func (c *Config) seeExchange(name string) func(*amqp.Channel) error {
	return func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(name, c.ExchangeType, true, false, false, false, nil)
	}
}

func (c *Config) makeExchange(ch *amqp.Channel) error {
	return ch.ExchangeDeclare(c.ExchangeName, c.ExchangeType, *c.DurableExchange, false, false, false, table(c.ExchangeArguments))
}

func (c *Config) makeQueue(ch *amqp.Channel) error {
	_, err := ch.QueueDeclare(c.QueueName, *c.DurableQueue, c.AutoDelete, false, false, c.arguments())
	return err
}

func (c *Config) typeOnly() amqp.Table {
	t := amqp.Table{}
	if c.QueueType != "" {
		t[amqp.QueueTypeArg] = c.QueueType
	}
	return t
}

func (c *Config) arguments() amqp.Table {
	t := c.typeOnly()
	if c.MessageTTL > 0 {
		t[amqp.QueueMessageTTLArg] = c.MessageTTL.Std().Milliseconds()
	}
	if x := c.DeadLetterExchange; x != nil {
		t["x-dead-letter-exchange"] = *x
	}
	if k := c.DeadLetterRoutingKey; k != "" {
		t["x-dead-letter-routing-key"] = k
	}
	if q := c.DeadLetterQueue; q != "" {
		t["x-dead-letter-exchange"], t["x-dead-letter-routing-key"] = "", q
	}
	if c.DeliveryLimit > 0 {
		t["x-delivery-limit"] = int64(c.DeliveryLimit)
	}
	if c.MaxPriority > 0 {
		t["x-max-priority"] = int64(c.MaxPriority)
	}
	if c.SingleActiveConsumer {
		t[amqp.SingleActiveConsumerArg] = true
	}
	for k, v := range table(c.QueueArguments) {
		t[k] = v
	}
	return t
}

func (c *Config) bindings() (bs []Binding) {
	for _, topic := range c.Topics {
		bs = append(bs, Binding{Exchange: c.ExchangeName, Key: topic})
	}
	if c.ExchangeName != "" && len(c.Topics) == 0 && c.ExchangeType == "fanout" {
		bs = append(bs, Binding{Exchange: c.ExchangeName})
	}
	return append(bs, c.Bindings...)
}

// refused says what the broker's answer to a declaration means.
func refused(what string, err error) error {
	var e *amqp.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", what, err)
	}
	switch e.Code {
	case amqp.NotFound:
		return fmt.Errorf("%s is not there: %w", what, err)
	case amqp.PreconditionFailed:
		return fmt.Errorf("%s is there, but not as configured: %w", what, err)
	case amqp.AccessRefused:
		return fmt.Errorf("%s may not be used so by this user: %w", what, err)
	case amqp.ResourceLocked:
		return fmt.Errorf("%s is another connection's alone: %w", what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// table makes AMQP values of what JSON has: whole numbers are integers.
func table(m map[string]any) amqp.Table {
	if m == nil {
		return nil
	}
	t := make(amqp.Table, len(m))
	for k, v := range m {
		t[k] = value(v)
	}
	return t
}

func value(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case map[string]any:
		return table(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = value(v[i])
		}
		return out
	}
	return v
}
