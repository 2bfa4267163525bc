package sqs

import (
	"regexp"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/amazon"
)

// Config is the trigger's attributes.
type Config struct {
	amazon.Config
	// Queue is the name of the queue. Required.
	Queue string `json:"queue"`
	// Owner is the account that the queue is of. Default: that of the key.
	Owner string `json:"owner,omitempty"`
	// Wait is how long the service lets a request stand when the queue is empty, at
	// most 20s. A stop waits for it, up to 5s. Default 3s.
	Wait quantity.Duration `json:"wait,omitempty"`
	// Visibility is how long a message stays away from others without a sign of life
	// of this processor, which gives three in that time. Default 30s.
	Visibility quantity.Duration `json:"visibility,omitempty"`
	// Polls is how many requests for messages are made at once while the queue is
	// full. Default 4.
	Polls int `json:"polls,omitempty"`
}

func defaults() Config {
	return Config{Config: amazon.Defaults(), Wait: quantity.Duration(3 * time.Second), Visibility: quantity.Duration(30 * time.Second), Polls: 4}
}

var (
	queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	// attributeName is what a message's attribute may be called.
	attributeName = regexp.MustCompile(`^[A-Za-z0-9_-]([A-Za-z0-9_.-]{0,254}[A-Za-z0-9_-])?$`)

	account = regexp.MustCompile(`^[0-9]{12}$`)
)

// Fifo is how the names of queues that keep an order end.
const Fifo = ".fifo"

func isName(name string) bool {
	return len(name) <= 80 && queueName.MatchString(strings.TrimSuffix(name, Fifo))
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	switch {
	case c.Queue == "":
		es.Add("queue", "is required")
	case !isName(c.Queue):
		es.Add("queue", "is %q, expected the name of a queue: up to 80 letters, digits, _ and -, and %s at the end of one that keeps an order", c.Queue, Fifo)
	}
	if c.Owner != "" && !account.MatchString(c.Owner) {
		es.Add("owner", "is %q, expected the 12 digits of an account", c.Owner)
	}
	if d := c.Wait.Std(); d < 0 || d > 20*time.Second || d%time.Second != 0 {
		es.Add("wait", "is %v, expected whole seconds from 0s to 20s", c.Wait)
	}
	if d := c.Visibility.Std(); d < 2*time.Second || d > 12*time.Hour || d%time.Second != 0 {
		es.Add("visibility", "is %v, expected whole seconds from 2s to 12h", c.Visibility)
	}
	if c.Polls < 1 || c.Polls > 32 {
		es.Add("polls", "is %d, expected 1 to 32", c.Polls)
	}
	return es.Err()
}

// isOrdered reports whether a queue keeps the order of its groups.
func isOrdered(name string) bool { return strings.HasSuffix(name, Fifo) }
