package rabbitmq

import (
	"math"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/secure"
)

// What is done about exchange, queue and bindings before the queue is consumed.
const (
	Declare = "declare"
	Check   = "check"
	None    = "none"
)

// The types of queues that may be declared.
const (
	Quorum  = "quorum"
	Classic = "classic"
)

// Config is the trigger's attributes. Address, user and password are the
// trigger's own url, username and password.
type Config struct {
	// QueueName of the queue that is consumed. With topology declare it may be
	// left out: myelin-<function>-<trigger>.
	QueueName string `json:"queueName,omitempty"`
	// ExchangeName of the exchange that the queue is bound to.
	ExchangeName string `json:"exchangeName,omitempty"`
	// Topics are the routing keys by which the queue is bound to the exchange.
	Topics []string `json:"topics,omitempty"`
	// Bindings are further ones, to any exchange.
	Bindings []Binding `json:"bindings,omitempty"`

	// Topology says what to do first: "declare" makes what is missing, "check"
	// (default) waits until it is there, "none" goes straight to the queue. What
	// is there but differs from what is configured is an error with all but none.
	Topology string `json:"topology,omitempty"`
	// ExchangeType is topic (default), direct, fanout, headers or a plugin's.
	ExchangeType string `json:"exchangeType,omitempty"`
	// ExchangeArguments as the broker knows them, such as alternate-exchange.
	ExchangeArguments map[string]any `json:"exchangeArguments,omitempty"`
	// DurableExchange and DurableQueue outlive the broker. Default true.
	DurableExchange *bool `json:"durableExchange,omitempty"`
	DurableQueue    *bool `json:"durableQueue,omitempty"`
	// QueueType is quorum or classic. Default of a queue that is declared:
	// quorum if it can be.
	QueueType string `json:"queueType,omitempty"`
	// AutoDelete lets the queue go with its last consumer.
	AutoDelete bool `json:"autoDelete,omitempty"`
	// MessageTTL is how long a message may wait in the queue.
	MessageTTL quantity.Duration `json:"messageTTL,omitempty"`
	// DeadLetterExchange takes what is rejected, too old or too much; "" is the
	// default exchange. It has to be there.
	DeadLetterExchange *string `json:"deadLetterExchange,omitempty"`
	// DeadLetterRoutingKey of such messages. Default: their own.
	DeadLetterRoutingKey string `json:"deadLetterRoutingKey,omitempty"`
	// DeadLetterQueue is declared, and takes such messages by itself.
	DeadLetterQueue string `json:"deadLetterQueue,omitempty"`
	// DeliveryLimit is how often a quorum queue delivers a message before it
	// dead-letters it.
	DeliveryLimit int `json:"deliveryLimit,omitempty"`
	// MaxPriority makes a classic queue that heeds priorities up to it, at most 255.
	MaxPriority int `json:"maxPriority,omitempty"`
	// SingleActiveConsumer lets the queue feed one consumer at a time, for order.
	SingleActiveConsumer bool `json:"singleActiveConsumer,omitempty"`
	// QueueArguments as the broker knows them, such as x-max-length.
	QueueArguments map[string]any `json:"queueArguments,omitempty"`

	// PrefetchCount is the trigger's prefetch, by the name that Nuclio gave it.
	PrefetchCount int `json:"prefetchCount,omitempty"`
	// ConsumerTag names the consumer at the broker. Default: function/trigger.
	ConsumerTag string `json:"consumerTag,omitempty"`
	// Exclusive refuses other consumers of the queue.
	Exclusive bool `json:"exclusive,omitempty"`
	// Priority of this consumer among those of the queue; those of the highest
	// are fed first.
	Priority int `json:"priority,omitempty"`
	// ConsumerArguments as the broker knows them.
	ConsumerArguments map[string]any `json:"consumerArguments,omitempty"`
	// Replies says whether a message that has a reply_to is answered: "auto"
	// (default) or "off".
	Replies string `json:"replies,omitempty"`

	// VHost goes before that of the url.
	VHost string `json:"vhost,omitempty"`
	// Heartbeat is how often the broker says that it is there; a connection
	// from which nothing came three times as long is given up. Default 10s.
	Heartbeat quantity.Duration `json:"heartbeat,omitempty"`
	// ConnectTimeout bounds each attempt to connect, and ConfirmTimeout the wait
	// for the broker's word that it has a message. Default 10s and 30s.
	ConnectTimeout quantity.Duration `json:"connectTimeout,omitempty"`
	ConfirmTimeout quantity.Duration `json:"confirmTimeout,omitempty"`
	TLS            secure.TLS        `json:"tls,omitzero"`

	// ReconnectDuration and ReconnectInterval are Nuclio's. They are read and
	// not used: a lost broker is tried again for ever, with a growing pause.
	ReconnectDuration string `json:"reconnectDuration,omitempty"`
	ReconnectInterval string `json:"reconnectInterval,omitempty"`
}

// Binding ties the queue to an exchange.
type Binding struct {
	Exchange  string         `json:"exchange"`
	Key       string         `json:"key,omitempty"`
	Arguments map[string]any `json:"arguments,omitempty"` // of an exchange of type headers
}

func defaults() Config {
	return Config{
		ExchangeType:   "topic",
		Replies:        "auto",
		Heartbeat:      quantity.Duration(10 * time.Second),
		ConnectTimeout: quantity.Duration(10 * time.Second),
		ConfirmTimeout: quantity.Duration(30 * time.Second),
	}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	word(&es, "topology", c.Topology, "", Declare, Check, None)
	word(&es, "queueType", c.QueueType, "", Quorum, Classic)
	word(&es, "replies", c.Replies, "auto", "off")
	c.TLS.Check(&es)
	between(&es, "prefetchCount", c.PrefetchCount, math.MaxUint16)
	between(&es, "deliveryLimit", c.DeliveryLimit, math.MaxInt32)
	between(&es, "maxPriority", c.MaxPriority, 255)
	span(&es, "messageTTL", c.MessageTTL, 0)
	span(&es, "heartbeat", c.Heartbeat, time.Second)
	span(&es, "connectTimeout", c.ConnectTimeout, time.Millisecond)
	span(&es, "confirmTimeout", c.ConfirmTimeout, time.Millisecond)
	for field, name := range map[string]string{"queueName": c.QueueName, "exchangeName": c.ExchangeName, "consumerTag": c.ConsumerTag} {
		if len(name) > 255 {
			es.Add(field, "has %d bytes, expected at most 255", len(name))
		}
	}
	c.validateQueue(&es)
	if len(c.Topics) > 0 && c.ExchangeName == "" {
		es.Add("topics", "are bound to an exchange: set exchangeName")
	}
	for field, m := range map[string]map[string]any{"exchangeArguments": c.ExchangeArguments, "queueArguments": c.QueueArguments, "consumerArguments": c.ConsumerArguments} {
		if err := table(m).Validate(); err != nil {
			es.Add(field, "%v", err)
		}
	}
	return es.Err()
}

// validateQueue finds what no queue can be at once.
func (c *Config) validateQueue(es *document.Errors) {
	if c.QueueType == Quorum {
		switch {
		case c.DurableQueue != nil && !*c.DurableQueue:
			es.Add("durableQueue", "is false, and a quorum queue is always durable")
		case c.AutoDelete:
			es.Add("autoDelete", "is not for a quorum queue")
		case c.MaxPriority > 0:
			es.Add("maxPriority", "is not for a quorum queue")
		}
	}
	if c.DeliveryLimit > 0 && (c.QueueType == Classic || c.AutoDelete || c.MaxPriority > 0 || c.DurableQueue != nil && !*c.DurableQueue) {
		es.Add("deliveryLimit", "is only for a quorum queue")
	}
	if c.DeadLetterQueue != "" && c.DeadLetterExchange != nil {
		es.Add("deadLetterQueue", "and deadLetterExchange exclude each other")
	}
	if c.DeadLetterRoutingKey != "" && c.DeadLetterExchange == nil {
		es.Add("deadLetterRoutingKey", "is only for a deadLetterExchange")
	}
}

func word(es *document.Errors, field, got string, known ...string) {
	for _, k := range known {
		if got == k {
			return
		}
	}
	if known[0] == "" {
		known = known[1:]
	}
	es.Add(field, "is %q, expected one of %q", got, known)
}

func between(es *document.Errors, field string, n, most int) {
	if n < 0 || n > most {
		es.Add(field, "is %d, expected 0 to %d", n, most)
	}
}

func span(es *document.Errors, field string, d quantity.Duration, least time.Duration) {
	if d.Std() < least {
		es.Add(field, "is %v, expected at least %v", d, least)
	}
}
