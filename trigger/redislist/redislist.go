// Package redislist is the trigger that takes the elements of Redis lists, as
// work queues that were made of LPUSH and BRPOP are. It holds what is peculiar to
// lists: an element that is taken lies in a place of its taker until it is done,
// and comes back when the taker has died. It stands on the queue engine, and
// knows no worker and no runtime.
package redislist

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// Kind is the trigger's name in a spec.
const Kind = "redisList"

// Config is the trigger's attributes. Address, user and password are the
// trigger's own url, username and password.
type Config struct {
	// Lists that elements are taken from, at least one.
	Lists []string `json:"lists"`
	// End is where elements are taken: "left" (default), for producers that RPUSH,
	// or "right", for those that LPUSH.
	End string `json:"end,omitempty"`
	// ContentType is that of every element. Default: none.
	ContentType string `json:"contentType,omitempty"`
	// Lease is how long a processor must not have been heard of before others take
	// what it had. Default 30s.
	Lease quantity.Duration `json:"lease,omitempty"`
	// ReclaimInterval is how often dead processors are looked for. Default 5s.
	ReclaimInterval quantity.Duration `json:"reclaimInterval,omitempty"`
	link.Options
}

const (
	left  = "left"
	right = "right"
)

func defaults() Config {
	return Config{
		End: left, Lease: quantity.Duration(30 * time.Second), ReclaimInterval: quantity.Duration(5 * time.Second),
		Options: link.Defaults(),
	}
}

// mostLists bounds the connections that wait.
const mostLists = 64

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	if len(c.Lists) == 0 || len(c.Lists) > mostLists {
		es.Add("lists", "has %d, expected 1 to %d, such as [orders]", len(c.Lists), mostLists)
	}
	for i, l := range c.Lists {
		switch at := fmt.Sprintf("lists[%d]", i); {
		case l == "":
			es.Add(at, "is empty")
		case slices.Contains(c.Lists[:i], l):
			es.Add(at, "%q is there twice", l)
		}
	}
	if c.End != left && c.End != right {
		es.Add("end", "is %q, expected left or right", c.End)
	}
	link.AtLeast(&es, "lease", c.Lease, time.Second)
	link.AtLeast(&es, "reclaimInterval", c.ReclaimInterval, 10*time.Millisecond)
	c.Check(&es)
	return es.Err()
}

// Factory makes triggers of lists.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the elements of Redis lists.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	src, err := newSource(s, cfg)
	if err != nil {
		return nil, err
	}
	return queue.New(s, queue.Options{Kind: Kind, Requeues: true}, src)
}

// newSource checks what the configuration alone cannot tell, and opens nothing.
func newSource(s trigger.Settings, cfg Config) (*source, error) {
	s.Log = link.Logger(s.Log)
	to, err := link.New(s, cfg.Options)
	if err != nil {
		return nil, err
	}
	if at := s.Spec.StartAt; at != "" && at != "earliest" {
		return nil, &trigger.SpecError{Err: document.Under("startAt", fmt.Errorf("%q: a list has nothing to begin at but its end", at))}
	}
	host, _ := os.Hostname() // the rest is name enough
	return &source{cfg: cfg, log: s.Log, to: to, family: fmt.Sprintf("%s-%s-%s-%d-", s.Function, s.Name, host, os.Getpid())}, nil
}
