// Package nats is the trigger that subscribes to subjects of NATS core. It holds
// what is peculiar to it: queue groups, answers to requests, publishing.
// Attempts, dead letters, batches and the drain are the queue engine's. It knows
// no worker and no runtime. Messages of NATS core are kept nowhere: what was
// sent to a processor that dies is lost.
package nats

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/nats/link"
	"github.com/myelin-run/myelin/trigger/queue"
)

// Kind is the trigger's name in a spec; Nuclio's is the same.
const Kind = "nats"

// Config is the trigger's attributes. Address, user and password are the
// trigger's own url, username and password; its secret is a token.
type Config struct {
	link.Options
	// Topic is the subject, which may have the wildcards * and >.
	Topic string `json:"topic,omitempty"`
	// Topics are several, which must not overlap.
	Topics []string `json:"topics,omitempty"`
	// QueueName is the queue group: of its members one gets each message. The
	// fields {{.Namespace}}, {{.Name}} (of the function) and {{.Id}} (the
	// trigger's name) are filled in. Default: {{.Namespace}}.{{.Name}}-{{.Id}}.
	QueueName string `json:"queueName,omitempty"`
	// Broadcast has no queue group: each replica gets each message.
	Broadcast bool `json:"broadcast,omitempty"`
	// Replies says whether a message that has a reply subject is answered:
	// "auto" (default) or "off".
	Replies string `json:"replies,omitempty"`
	// Pending is how many messages of each subject wait in the processor, beyond
	// the prefetch, before further ones are dropped. Default 65536.
	Pending int `json:"pending,omitempty"`
}

func defaults() Config {
	return Config{Options: link.Defaults(), QueueName: "{{.Namespace}}.{{.Name}}-{{.Id}}", Replies: "auto", Pending: 1 << 16}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	link.Word(&es, "replies", c.Replies, "auto", "off")
	if c.Pending < 1 || c.Pending > 1<<24 {
		es.Add("pending", "is %d, expected 1 to %d", c.Pending, 1<<24)
	}
	if c.Topic == "" && len(c.Topics) == 0 {
		es.Add("topic", "is required: the subject to subscribe to, such as orders.>")
	}
	for i, t := range c.subjects() {
		field := "topic"
		if c.Topic == "" || i > 0 {
			field = "topics"
		}
		if err := link.CheckSubject(t, true); err != nil {
			es.Add(field, "%v", err)
		}
	}
	return es.Err()
}

func (c *Config) subjects() []string {
	if c.Topic == "" {
		return c.Topics
	}
	return append([]string{c.Topic}, c.Topics...)
}

// Factory makes NATS triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the messages of NATS subjects.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	src, err := newSource(s, cfg)
	if err != nil {
		return nil, err
	}
	return queue.New(s, queue.Options{Kind: Kind, Prefetch: 256}, src)
}

func newSource(s trigger.Settings, cfg Config) (*source, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if at := s.Spec.StartAt; at != "" && at != "latest" {
		return nil, &trigger.SpecError{Err: document.Under("startAt", fmt.Errorf("%q: NATS core keeps no messages; the kind jetstream reads what a stream keeps", at))}
	}
	dialer, err := link.New(s, cfg.Options)
	if err != nil {
		return nil, err
	}
	group, err := groupName(cfg, s)
	if err != nil {
		return nil, document.Under("queueName", err)
	}
	return &source{cfg: cfg, subjects: cfg.subjects(), group: group, log: s.Log, dialer: dialer, topics: &link.Publisher{Dialer: dialer}}, nil
}

// groupName fills in the fields of the queue group's name.
func groupName(cfg Config, s trigger.Settings) (string, error) {
	if cfg.Broadcast {
		return "", nil
	}
	fields := map[string]string{".Namespace": s.Namespace, ".Name": s.Function, ".Id": s.Name}
	var b strings.Builder
	rest := cfg.QueueName
	for {
		before, after, found := strings.Cut(rest, "{{")
		b.WriteString(before)
		if !found {
			break
		}
		field, behind, closed := strings.Cut(after, "}}")
		value, known := fields[strings.TrimSpace(field)]
		if !closed || !known {
			return "", fmt.Errorf("%q: between {{ and }} stands .Namespace, .Name or .Id", cfg.QueueName)
		}
		b.WriteString(value)
		rest = behind
	}
	name := strings.Trim(b.String(), ".-")
	switch {
	case name == "":
		return "", errors.New("is empty; set broadcast to have no queue group")
	case strings.ContainsAny(name, " \t\r\n\f"):
		return "", fmt.Errorf("%q has a space", name)
	}
	return name, nil
}
