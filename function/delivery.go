package function

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"

	"github.com/myelin-run/myelin/quantity"
)

// Delivery holds the fields of a trigger that queues and streams share: how
// events are tried, kept in order and given up.
type Delivery struct {
	// How an event that failed is tried again.
	Retry *Retry `json:"retry,omitempty"`
	// Where an event goes that failed for good. Default: the dead letters of the platform.
	OnFailure *Destination `json:"onFailure,omitempty"`
	// Where the function's answer goes, with the event. Default: nowhere.
	OnSuccess *Destination `json:"onSuccess,omitempty"`
	// A condition in CEL over headers, key, topic, body, id, time, shard and offset; other events are skipped.
	Filter string `json:"filter,omitempty"`
	// Where to begin without a checkpoint: earliest, latest, an offset, or a time such as 2026-03-01T12:00:00Z. Default: the kind's.
	StartAt string `json:"startAt,omitempty"`
	// Whether the trigger begins paused.
	Paused bool `json:"paused,omitempty"`
	// Most events of a queue that are given to workers at once. Default: twice numWorkers.
	MaxInFlight int `json:"maxInFlight,omitempty"`
	// Most messages of a queue that are taken from the broker and not settled. Default: the kind's.
	Prefetch int `json:"prefetch,omitempty"`
	// Lanes in which the records of a shard run at once; those of one key keep their order. Default 1: the shard's order.
	WorkersPerShard int `json:"workersPerShard,omitempty"`
	// How often the checkpoints of a stream are stored. Default 1s.
	CheckpointInterval quantity.Duration `json:"checkpointInterval,omitempty"`
	// atLeastOnce (the default) or exactlyOnce, for kinds that have it.
	Guarantee string `json:"guarantee,omitempty"`
	// What the function writes to a table and that the event is done is one transaction.
	ExactlyOnce *ExactlyOnce `json:"exactlyOnce,omitempty"`
	// Events of a queue that were done already are left out.
	Deduplicate *Deduplicate `json:"deduplicate,omitempty"`
}

// Retry says how an event that failed is tried again.
type Retry struct {
	// Most runs of an event, the first included; -1 for no end. Default 5.
	Attempts int `json:"attempts,omitempty"`
	// How long to wait between two attempts.
	Backoff *Backoff `json:"backoff,omitempty"`
	// No attempt begins when the event, by its own time, is older. Default 0: whatever its age.
	MaxAge quantity.Duration `json:"maxAge,omitempty"`
}

// Backoff is a pause that grows.
type Backoff struct {
	// Pause before the second attempt. Default 100ms.
	Initial quantity.Duration `json:"initial,omitempty"`
	// Longest pause. Default 30s.
	Max quantity.Duration `json:"max,omitempty"`
	// By what the pause is multiplied for each further attempt, at least 1. Default 2.
	Factor float64 `json:"factor,omitempty"`
	// Part of the pause, 0 to 1, by which it is changed at random, up or down. Default 0.2.
	Jitter *float64 `json:"jitter,omitempty"`
}

// Destination is where an event goes with its history.
type Destination struct {
	// store (the platform's dead letters), topic (of the same system), function, http, broker (rejected there), stop (the shard stands still) or drop.
	Kind string `json:"kind"`
	// Name of the topic, queue or subject, for the kind topic.
	Topic string `json:"topic,omitempty"`
	// Name of the function that is called, for the kind function.
	Function string `json:"function,omitempty"`
	// Where the event is posted to, for the kind http; http or https.
	URL string `json:"url,omitempty"`
	// How long one try may take, for the kinds function and http. Default 30s.
	Timeout quantity.Duration `json:"timeout,omitempty"`
	// The kind's own settings.
	Attributes json.RawMessage `json:"attributes,omitempty"`
}

// ExactlyOnce says which binding keeps what is done of a trigger.
type ExactlyOnce struct {
	// Name of a data binding of class table. What the function writes there is stored with the position, or not at all.
	Binding string `json:"binding"`
}

// Deduplicate says how events are known again.
type Deduplicate struct {
	// How long an event that is done is remembered. Default 10m.
	Window quantity.Duration `json:"window,omitempty"`
	// Header that names the event. Default: its id.
	Header string `json:"header,omitempty"`
}

func (c *checker) delivery(path string, d *Delivery) {
	if r := d.Retry; r != nil {
		c.retry(path+".retry", r)
	}
	c.destination(path+".onFailure", d.OnFailure, "")
	c.destination(path+".onSuccess", d.OnSuccess, "is only for onFailure")
	c.notNegative(path+".maxInFlight", &d.MaxInFlight)
	c.notNegative(path+".prefetch", &d.Prefetch)
	c.notNegative(path+".workersPerShard", &d.WorkersPerShard)
	if d.WorkersPerShard > MaxLanes {
		c.Add(path+".workersPerShard", "is %d, expected at most %d", d.WorkersPerShard, MaxLanes)
	}
	c.span(path+".checkpointInterval", d.CheckpointInterval)
	c.word(path+".guarantee", d.Guarantee, []string{"atLeastOnce", "exactlyOnce"})
	if u := d.Deduplicate; u != nil {
		c.span(path+".deduplicate.window", u.Window)
	}
	if x := d.ExactlyOnce; x != nil && x.Binding == "" {
		c.Add(path+".exactlyOnce.binding", "is required: a data binding of class table")
	}
}

// MaxLanes is the most lanes that a shard may have.
const MaxLanes = 1024

func (c *checker) retry(path string, r *Retry) {
	if r.Attempts < -1 {
		c.Add(path+".attempts", "is %d, expected 1 or more, or -1 for no end", r.Attempts)
	}
	c.span(path+".maxAge", r.MaxAge)
	b := r.Backoff
	if b == nil {
		return
	}
	c.span(path+".backoff.initial", b.Initial)
	c.span(path+".backoff.max", b.Max)
	if b.Factor != 0 && b.Factor < 1 {
		c.Add(path+".backoff.factor", "is %v, expected 1 or more", b.Factor)
	}
	if j := b.Jitter; j != nil && (*j < 0 || *j > 1) {
		c.Add(path+".backoff.jitter", "is %v, expected 0 to 1", *j)
	}
	if b.Max != 0 && b.Initial > b.Max {
		c.Add(path+".backoff.initial", "is %v, more than max, %v", b.Initial, b.Max)
	}
}

// destination checks what holds of all kinds; failing is what is wrong with
// the kinds that say what becomes of a failure.
func (c *checker) destination(path string, d *Destination, failing string) {
	if d == nil {
		return
	}
	switch d.Kind {
	case "":
		c.Add(path+".kind", "is required, such as store or topic")
	case "topic":
		if d.Topic == "" {
			c.Add(path+".topic", "is required for the kind topic")
		}
	case "function":
		if !calledForm.MatchString(d.Function) {
			c.Add(path+".function", "is %q, expected the name of a function", d.Function)
		}
	case "http":
		c.address(path+".url", d.URL)
	case "store", "broker", "stop", "drop":
		if failing != "" {
			c.Add(path+".kind", "%s %s", d.Kind, failing)
		}
	default:
		c.word(path+".kind", d.Kind, []string{"store", "topic", "function", "http", "broker", "stop", "drop"})
	}
	c.onlyFor(path+".topic", d.Topic != "" && d.Kind != "topic", "the kind topic")
	c.onlyFor(path+".function", d.Function != "" && d.Kind != "function", "the kind function")
	c.onlyFor(path+".url", d.URL != "" && d.Kind != "http", "the kind http")
	c.onlyFor(path+".timeout", d.Timeout != 0 && d.Kind != "http" && d.Kind != "function", "the kinds function and http")
	c.span(path+".timeout", d.Timeout)
}

// calledForm is what a call of a function may name.
var calledForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)

func (c *checker) onlyFor(path string, wrong bool, what string) {
	if wrong {
		c.Add(path, "is only for %s", what)
	}
}

// address checks the URL of a destination; what is said of it does not repeat
// it, as it may have a password.
func (c *checker) address(path, text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		c.Add(path, "is required for the kind http, such as https://host/path")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		c.Add(path, "is not of the form https://host/path")
	case u.Fragment != "":
		c.Add(path, "has a fragment (#...), which is never sent")
	}
}

// alwaysDealt are the kinds whose source has shards, or is one, without being asked
// for.
var alwaysDealt = []string{"sql", "s3", "imap", "v3ioStream", "kinesis", "postgresReplication"}

// Dealt reports whether the trigger reads shards that the dealer deals, as its
// attributes say it for every kind that can.
func (t Trigger) Dealt() bool {
	var a struct {
		Shards     any    `json:"shards"` // how many; of kinesis, which
		Assignment string `json:"assignment"`
	}
	if len(t.Attributes) > 0 && json.Unmarshal(t.Attributes, &a) != nil {
		return false // the trigger says what is wrong
	}
	n, _ := a.Shards.(float64)
	return (n > 0 || slices.Contains(alwaysDealt, t.Kind)) && (a.Assignment == "" || a.Assignment == "dealer")
}
