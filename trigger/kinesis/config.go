package kinesis

import (
	"regexp"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Config is the trigger's attributes. Nuclio's names mean what they mean there; see
// [Nuclio].
type Config struct {
	amazon.Config
	Nuclio
	// StreamName is the name of the stream. Required.
	StreamName string `json:"streamName"`
	// CheckpointTable is the table of DynamoDB that keeps how far shards were read.
	// It is made if it is not there. Default: myelin-checkpoints.
	CheckpointTable string `json:"checkpointTable,omitempty"`
	// CheckpointURL is where DynamoDB is, if it is not where the trigger's url says:
	// of the same form.
	CheckpointURL string `json:"checkpointURL,omitempty"`
	// OutOfRange says where to go on if what comes after the checkpoint is not there
	// any more: earliest (default), latest, or stop.
	OutOfRange string `json:"outOfRange,omitempty"`
	// Assignment says who assigns shards: "dealer" (default), or "all", with which
	// one processor has all of them and no other may be there.
	Assignment string `json:"assignment,omitempty"`
	// RecordsPerRequest is the most that a shard is asked for at once. Default 1000.
	RecordsPerRequest int `json:"recordsPerRequest,omitempty"`
	// RequestsPerSecond bounds how often a shard is asked. The service allows five to
	// all readers of the shard. Default 5.
	RequestsPerSecond int `json:"requestsPerSecond,omitempty"`
	// ConsumerName has the service send what comes (enhanced fan-out) instead of being
	// asked for it: the name of a consumer of the stream, which is registered if it is
	// not there. Default: none.
	ConsumerName string `json:"consumerName,omitempty"`
	// DescribeInterval is how often it is asked which shards there are. Default 30s.
	DescribeInterval quantity.Duration `json:"describeInterval,omitempty"`
}

// Nuclio has the attributes of Nuclio's trigger that are called otherwise here.
type Nuclio struct {
	// AccessKeyID and SecretAccessKey say who asks, as the trigger's username and
	// secret do, which go first and are the better place.
	AccessKeyID     string          `json:"accessKeyID,omitempty"`
	SecretAccessKey quantity.Secret `json:"secretAccessKey,omitempty"`
	// RegionName is the region.
	RegionName string `json:"regionName,omitempty"`
	// IteratorType says where to begin in a shard without a checkpoint: LATEST
	// (default) or TRIM_HORIZON. The spec's startAt goes first.
	IteratorType string `json:"iteratorType,omitempty"`
	// PollingPeriod is how long a shard is left alone that had nothing more.
	// Default 500ms.
	PollingPeriod quantity.Duration `json:"pollingPeriod,omitempty"`
	// Shards is accepted and has no effect: all shards are read.
	Shards []string `json:"shards,omitempty"`
}

const (
	horizon = "TRIM_HORIZON"
	latest  = "LATEST"
)

// What outOfRange may be.
const (
	toEarliest = "earliest"
	toLatest   = "latest"
	toStop     = "stop"
)

func defaults() Config {
	return Config{
		Config: amazon.Defaults(), Nuclio: Nuclio{IteratorType: latest, PollingPeriod: quantity.Duration(500 * time.Millisecond)},
		CheckpointTable: "myelin-checkpoints", OutOfRange: toEarliest, RecordsPerRequest: 1000, RequestsPerSecond: 5,
		DescribeInterval: quantity.Duration(30 * time.Second),
	}
}

var (
	streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	tableName  = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)
)

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	switch {
	case c.StreamName == "":
		es.Add("streamName", "is required")
	case !streamName.MatchString(c.StreamName):
		es.Add("streamName", "is %q, expected up to 128 letters, digits, _, . and -", c.StreamName)
	}
	if !tableName.MatchString(c.CheckpointTable) {
		es.Add("checkpointTable", "is %q, expected 3 to 255 letters, digits, _, . and -", c.CheckpointTable)
	}
	if c.ConsumerName != "" && !streamName.MatchString(c.ConsumerName) {
		es.Add("consumerName", "is %q, expected up to 128 letters, digits, _, . and -", c.ConsumerName)
	}
	word(&es, "outOfRange", c.OutOfRange, toEarliest, toLatest, toStop)
	if c.Assignment != "" {
		word(&es, "assignment", c.Assignment, stream.ByDealer, stream.ToOne)
	}
	word(&es, "iteratorType", c.IteratorType, latest, horizon)
	bounded(&es, "recordsPerRequest", c.RecordsPerRequest, 1, 10_000)
	bounded(&es, "requestsPerSecond", c.RequestsPerSecond, 1, 1000)
	span(&es, "pollingPeriod", c.PollingPeriod)
	span(&es, "describeInterval", c.DescribeInterval)
	if c.RegionName != "" {
		if c.Region != "" && c.Region != c.RegionName {
			es.Add("regionName", "is %q, and region is %q: they are the same", c.RegionName, c.Region)
		}
		region := amazon.Config{Region: c.RegionName, Timeout: c.Timeout}
		var wrong document.Errors
		if region.Check(&wrong); wrong.Err() != nil {
			es.Add("regionName", "is %q, expected a name such as eu-central-1", c.RegionName)
		}
	}
	if (c.AccessKeyID == "") != (c.SecretAccessKey == "") {
		es.Add("accessKeyID", "and secretAccessKey go together")
	}
	return es.Err()
}

func word(es *document.Errors, field, got string, want ...string) {
	for _, w := range want {
		if got == w {
			return
		}
	}
	es.Add(field, "is %q, expected %s", got, strings.Join(want, " or "))
}

func bounded(es *document.Errors, field string, n, least, most int) {
	if n < least || n > most {
		es.Add(field, "is %d, expected %d to %d", n, least, most)
	}
}

func span(es *document.Errors, field string, d quantity.Duration) {
	if d.Std() < 10*time.Millisecond {
		es.Add(field, "is %v, expected at least 10ms", d)
	}
}

// nuclio has what Nuclio's attributes say where the spec's own fields say nothing.
func (c *Config) nuclio(spec *function.Trigger) {
	if c.Region == "" {
		c.Region = c.RegionName
	}
	if spec.Username == "" && c.AccessKeyID != "" && !strings.Contains(spec.URL, "@") {
		spec.Username, spec.Secret = c.AccessKeyID, c.SecretAccessKey
	}
}
