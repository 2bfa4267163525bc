package jetstream

import (
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/nats/link"
)

// What is done about stream and consumer before they are read.
const (
	Declare = "declare"
	Check   = "check"
	None    = "none"
)

// Config is the trigger's attributes. Address, user and password are the
// trigger's own url, username and password; its secret is a token.
type Config struct {
	link.Options
	// Stream to read. Default: the one that has the first of the topics.
	Stream string `json:"stream,omitempty"`
	// Topics are the subjects to take from the stream, which may have the
	// wildcards * and >. Default: all.
	Topics []string `json:"topics,omitempty"`
	// Consumer is the name of the durable consumer, which keeps what is done and
	// is shared by all replicas. Default: namespace-function-trigger.
	Consumer string `json:"consumer,omitempty"`
	// Topology says what to do first: "check" (default) waits for the stream and
	// makes the consumer if it is missing; "declare" makes the stream too, and
	// changes a consumer that is not as configured; "none" makes neither. What is
	// there but differs is an error with check.
	Topology string `json:"topology,omitempty"`
	// Ordered runs one message at a time, of all replicas together, in the
	// order of the stream.
	Ordered bool `json:"ordered,omitempty"`
	// Shards says that the stream's messages lie in so many shards, by a number in
	// their subjects: each of the topics has a token {shard} for it. A processor reads
	// the shards which it is assigned, each in its order. There is no durable consumer
	// then; Consumer names the checkpoints.
	Shards int `json:"shards,omitempty"`
	// Assignment says who assigns shards: "dealer" (default), or "all", with which
	// one processor has all of them and no other may be there.
	Assignment string `json:"assignment,omitempty"`
	// Checkpoints is the key-value bucket for checkpoints of shards; it is made if
	// it is not there. Default myelin-checkpoints.
	Checkpoints string `json:"checkpoints,omitempty"`
	// AckWait is how long the server waits before it delivers a message again of
	// which it hears nothing. What runs longer is told of in time. Default 30s.
	AckWait quantity.Duration `json:"ackWait,omitempty"`
	// MaxAckPending is how many messages all replicas together may have. Default
	// of a consumer that is made here: 1000, or the prefetch if that is more.
	MaxAckPending int `json:"maxAckPending,omitempty"`
	// Heartbeat is how often the server says that it still has a request for
	// messages; one that is silent for twice as long is given up. Default 5s.
	Heartbeat quantity.Duration `json:"heartbeat,omitempty"`
	// Domain of JetStream. Default: the server's own.
	Domain string `json:"domain,omitempty"`
	// PublishTimeout bounds the wait for a stream's word that it has a letter.
	// Default 10s.
	PublishTimeout quantity.Duration `json:"publishTimeout,omitempty"`
	// Declared says how a stream is that topology declare makes.
	Declared Declared `json:"declared,omitzero"`
}

// Declared is how a stream is made. One that is there has to have the subjects,
// storage and retention.
type Declared struct {
	// Subjects of the stream. Default: the topics.
	Subjects []string `json:"subjects,omitempty"`
	// Storage is file (default) or memory, Retention limits (default), interest
	// or workqueue.
	Storage   string `json:"storage,omitempty"`
	Retention string `json:"retention,omitempty"`
	// Replicas of each message in a cluster. Default 1.
	Replicas int `json:"replicas,omitempty"`
	// MaxAge, MaxBytes and MaxMessages are what the stream keeps. Default: all.
	MaxAge      quantity.Duration `json:"maxAge,omitempty"`
	MaxBytes    quantity.Size     `json:"maxBytes,omitempty"`
	MaxMessages int64             `json:"maxMessages,omitempty"`
	// DuplicateWindow is how long the stream remembers the ids of messages and
	// leaves out those that come again. Default 2m.
	DuplicateWindow quantity.Duration `json:"duplicateWindow,omitempty"`
}

func defaults() Config {
	return Config{Options: link.Defaults(), Topology: Check, Checkpoints: "myelin-checkpoints", AckWait: quantity.Duration(30 * time.Second), Heartbeat: quantity.Duration(5 * time.Second),
		PublishTimeout: quantity.Duration(10 * time.Second), Declared: Declared{Storage: "file", Retention: "limits", Replicas: 1}}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	link.Word(&es, "topology", c.Topology, Declare, Check, None)
	link.Span(&es, "ackWait", c.AckWait, 100*time.Millisecond)
	link.Span(&es, "heartbeat", c.Heartbeat, 100*time.Millisecond)
	link.Span(&es, "publishTimeout", c.PublishTimeout, time.Millisecond)
	checkName(&es, "stream", c.Stream)
	checkName(&es, "consumer", c.Consumer)
	checkName(&es, "domain", c.Domain)
	subjects(&es, "topics", c.Topics)
	switch {
	case c.MaxAckPending < 0:
		es.Add("maxAckPending", "is %d, expected at least 1", c.MaxAckPending)
	case c.Ordered && c.MaxAckPending > 1:
		es.Add("maxAckPending", "is %d, and an ordered trigger takes one message at a time", c.MaxAckPending)
	}
	if c.Stream == "" && (len(c.Topics) == 0 || c.Topology == Declare) {
		es.Add("stream", "is required, unless a stream that is there has the topics")
	}
	c.checkShards(&es)
	c.Declared.validate(&es, c)
	return es.Err()
}

func (d *Declared) validate(es *document.Errors, c *Config) {
	link.Word(es, "declared.storage", d.Storage, "file", "memory")
	link.Word(es, "declared.retention", d.Retention, "limits", "interest", "workqueue")
	subjects(es, "declared.subjects", d.Subjects)
	if d.Replicas < 1 || d.Replicas > 5 {
		es.Add("declared.replicas", "is %d, expected 1 to 5", d.Replicas)
	}
	if d.MaxAge < 0 || d.MaxBytes < 0 || d.MaxMessages < 0 || d.DuplicateWindow < 0 {
		es.Add("declared", "a limit is below 0")
	}
	if c.Topology == Declare && len(d.Subjects) == 0 && len(c.Topics) == 0 {
		es.Add("declared.subjects", "is required where the stream is made, or topics")
	}
}

func subjects(es *document.Errors, field string, list []string) {
	for _, s := range list {
		if err := link.CheckSubject(s, true); err != nil {
			es.Add(field, "%v", err)
		}
	}
}
