package redis

import (
	"fmt"
	"slices"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// Config is the trigger's attributes. Address, user and password are the
// trigger's own url, username and password.
type Config struct {
	// Streams that are read, at least one.
	Streams []string `json:"streams"`
	// Group that reads them; functions with one group share the entries. Default:
	// the function's name.
	Group string `json:"group,omitempty"`
	// Consumer is this processor's name in the group, and no other's: two that
	// have one name run each other's entries. Default: a new one for each start.
	Consumer string `json:"consumer,omitempty"`
	// MakeStreams makes streams that are not there. Default: they are waited for.
	MakeStreams bool `json:"makeStreams,omitempty"`
	// Shards says that each stream lies in so many keys, stream:0 and so on, and
	// that a processor reads the keys which it is assigned, each in its order. There is
	// no group at the server then; Group names the checkpoints.
	Shards int `json:"shards,omitempty"`
	// Assignment says who assigns shards: "dealer" (default), or "all", with which
	// one processor has all of them and no other may be there.
	Assignment string `json:"assignment,omitempty"`

	// BodyField is the field that is the event's body. Default: the body is all
	// fields, as a JSON object.
	BodyField string `json:"bodyField,omitempty"`
	// KeyField is the field that is the event's key.
	KeyField string `json:"keyField,omitempty"`

	// MinIdle is how long a consumer must not have said that it works on an entry
	// before another takes it over. Default 30s.
	MinIdle quantity.Duration `json:"minIdle,omitempty"`
	// ClaimInterval is how often entries to take over are looked for. Default 5s.
	ClaimInterval quantity.Duration `json:"claimInterval,omitempty"`
	// Block is how long one read waits for entries. Default 1s.
	Block quantity.Duration `json:"block,omitempty"`

	link.Options
}

func defaults() Config {
	return Config{
		MinIdle:       quantity.Duration(30 * time.Second),
		ClaimInterval: quantity.Duration(5 * time.Second),
		Block:         quantity.Duration(time.Second),
		Options:       link.Defaults(),
	}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	if len(c.Streams) == 0 {
		es.Add("streams", "is required, such as [orders]")
	}
	for i, s := range c.Streams {
		switch at := fmt.Sprintf("streams[%d]", i); {
		case s == "":
			es.Add(at, "is empty")
		case slices.Contains(c.Streams[:i], s):
			es.Add(at, "%q is there twice", s)
		}
	}
	checkShards(&es, c)
	link.AtLeast(&es, "minIdle", c.MinIdle, 100*time.Millisecond)
	link.AtLeast(&es, "claimInterval", c.ClaimInterval, 10*time.Millisecond)
	link.AtLeast(&es, "block", c.Block, time.Millisecond)
	c.Check(&es)
	return es.Err()
}
