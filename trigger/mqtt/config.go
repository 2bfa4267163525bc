package mqtt

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
	"github.com/myelin-run/myelin/trigger/secure"
)

// The orders in which messages are acked.
const (
	InOrder = "inOrder"
	AsDone  = "asDone"
)

// Config is the trigger's attributes. Address, user and password are the
// trigger's own url, username and password.
type Config struct {
	// Subscriptions are the topics to read, at least one.
	Subscriptions []Subscription `json:"subscriptions"`
	// Group makes the subscriptions shared: each message goes to one member. It
	// is needed for more than one replica.
	Group string `json:"group,omitempty"`
	// ClientID names the session at the broker. Default:
	// myelin-<namespace>-<function>-<trigger>. In a group the replica's name is
	// added.
	ClientID string `json:"clientID,omitempty"`
	// Version of MQTT: 5, or 3 for 3.1.1. Default: 5, and 3.1.1 if the broker
	// knows no other.
	Version int `json:"version,omitempty"`
	// ProtocolVersion is Nuclio's name of it: 4 is 3.1.1.
	ProtocolVersion int `json:"protocolVersion,omitempty"`

	// CleanSession begins each connection without what the broker kept for it.
	CleanSession bool `json:"cleanSession,omitempty"`
	// SessionExpiry is how long the broker keeps the session of a client that is
	// away, with version 5. Default 24h.
	SessionExpiry quantity.Duration `json:"sessionExpiry,omitempty"`
	// Acks go out "inOrder" of the messages (default), as MQTT wants it, or
	// "asDone", for brokers that do not mind.
	Acks string `json:"acks,omitempty"`
	// Replies says whether a message with a response topic is answered: "auto"
	// (default) or "off".
	Replies string `json:"replies,omitempty"`
	// PublishQoS of answers and letters, 1 (default) or 2: both are confirmed.
	PublishQoS int `json:"publishQoS,omitempty"`

	// MaxMessageSize is the most that a message may have; a larger one is
	// dropped, and the log says so. Default 16Mi.
	MaxMessageSize quantity.Size `json:"maxMessageSize,omitempty"`
	// KeepAlive is how long the connection may be silent before it counts as
	// lost. Default 20s.
	KeepAlive quantity.Duration `json:"keepAlive,omitempty"`
	// ConnectTimeout bounds each attempt to connect, Timeout each write and each
	// wait for a confirmation. Default 10s.
	ConnectTimeout quantity.Duration `json:"connectTimeout,omitempty"`
	Timeout        quantity.Duration `json:"timeout,omitempty"`
	// TakeoverPause is how long a trigger whose session another client took over
	// leaves it to that client. Default 30s.
	TakeoverPause quantity.Duration `json:"takeoverPause,omitempty"`
	TLS           secure.TLS        `json:"tls,omitzero"`
}

// Subscription is a topic, or a filter with the wildcards + and #.
type Subscription struct {
	Topic string `json:"topic"`
	// QoS is the most that messages are delivered with: 0, 1 or 2. Default 0.
	QoS int `json:"qos,omitempty"`
	// NoRetained leaves out the messages that the broker retains for the topic
	// when the subscription is new, with version 5.
	NoRetained bool `json:"noRetained,omitempty"`
}

func defaults() Config {
	return Config{
		Acks:           InOrder,
		Replies:        "auto",
		PublishQoS:     1,
		SessionExpiry:  quantity.Duration(24 * time.Hour),
		MaxMessageSize: 16 << 20,
		KeepAlive:      quantity.Duration(20 * time.Second),
		ConnectTimeout: quantity.Duration(10 * time.Second),
		Timeout:        quantity.Duration(10 * time.Second),
		TakeoverPause:  quantity.Duration(30 * time.Second),
	}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	if len(c.Subscriptions) == 0 {
		es.Add("subscriptions", "is required, such as [{topic: sensors/+/temperature, qos: 1}]")
	}
	for i, s := range c.Subscriptions {
		c.validateSubscription(&es, i, s)
	}
	if strings.ContainsAny(c.Group, "/+#\x00") {
		es.Add("group", "is %q, and must have none of / + #", c.Group)
	}
	if len(c.ClientID) > 1000 || strings.ContainsRune(c.ClientID, 0) {
		es.Add("clientID", "has %d bytes, expected at most 1000 and no zero byte", len(c.ClientID))
	}
	c.validateVersion(&es)
	word(&es, "acks", c.Acks, InOrder, AsDone)
	word(&es, "replies", c.Replies, "auto", "off")
	if c.PublishQoS != 1 && c.PublishQoS != 2 {
		es.Add("publishQoS", "is %d, expected 1 or 2: a broker confirms nothing else", c.PublishQoS)
	}
	if n := c.MaxMessageSize.Bytes(); n < 1 || n > link.Largest {
		es.Add("maxMessageSize", "is %v, expected 1 to %d bytes", c.MaxMessageSize, link.Largest)
	}
	span(&es, "sessionExpiry", c.SessionExpiry, 0, math.MaxUint32*time.Second)
	span(&es, "keepAlive", c.KeepAlive, time.Second, math.MaxUint16*time.Second)
	span(&es, "connectTimeout", c.ConnectTimeout, time.Millisecond, time.Hour)
	span(&es, "timeout", c.Timeout, time.Millisecond, time.Hour)
	span(&es, "takeoverPause", c.TakeoverPause, time.Millisecond, 24*time.Hour)
	c.TLS.Check(&es)
	return es.Err()
}

func (c *Config) validateSubscription(es *document.Errors, i int, s Subscription) {
	at := fmt.Sprintf("subscriptions[%d]", i)
	if err := checkFilter(s.Topic); err != nil {
		es.Add(at+".topic", "%v", err)
	} else if strings.HasPrefix(s.Topic, sharePrefix) {
		es.Add(at+".topic", "%q begins with %s: the group is said by the attribute group", s.Topic, sharePrefix)
	}
	if s.QoS < 0 || s.QoS > 2 {
		es.Add(at+".qos", "is %d, expected 0, 1 or 2", s.QoS)
	}
	for _, o := range c.Subscriptions[:i] {
		if o.Topic == s.Topic {
			es.Add(at+".topic", "%q is there twice", s.Topic)
		}
	}
}

func (c *Config) validateVersion(es *document.Errors) {
	if v := c.Version; v != 0 && v != 3 && v != 5 {
		es.Add("version", "is %d, expected 5, or 3 for 3.1.1", v)
	}
	if v := c.ProtocolVersion; v != 0 && v != 4 && v != 5 {
		es.Add("protocolVersion", "is %d, expected 5, or 4 for 3.1.1", v)
	}
	if c.Version != 0 && c.ProtocolVersion != 0 && (c.Version == 5) != (c.ProtocolVersion == 5) {
		es.Add("protocolVersion", "and version say different things")
	}
}

// version is as the protocol numbers it, 4 or 5; 0: what the broker knows.
func (c *Config) version() int {
	switch {
	case c.Version == 5 || c.ProtocolVersion == 5:
		return 5
	case c.Version == 3 || c.ProtocolVersion == 4:
		return 4
	}
	return 0
}

func word(es *document.Errors, field, got string, known ...string) {
	for _, k := range known {
		if got == k {
			return
		}
	}
	es.Add(field, "is %q, expected one of %q", got, known)
}

func span(es *document.Errors, field string, d quantity.Duration, least, most time.Duration) {
	if d.Std() < least || d.Std() > most {
		es.Add(field, "is %v, expected %v to %v", d, least, most)
	}
}
