package v3io

import (
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/secure"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Config is the trigger's attributes. Nuclio's names mean what they mean there;
// see [Nuclio] for those that are accepted and not used. Address and access key
// are the trigger's own url and password, or its secret.
type Config struct {
	// ContainerName is the data container that the stream is in.
	ContainerName string `json:"containerName,omitempty"`
	// StreamPath is where the stream is in the container.
	StreamPath string `json:"streamPath,omitempty"`
	// ConsumerGroup whose members share the shards and keep one checkpoint of each.
	ConsumerGroup string `json:"consumerGroup,omitempty"`
	// SeekTo says where to begin in a shard without a checkpoint: latest (the
	// default, as in Nuclio) or earliest. The spec's startAt goes first.
	SeekTo string `json:"seekTo"`
	// Assignment says who assigns shards: "dealer" (default), or "all", with which
	// one processor has all of them and no other may be there.
	Assignment string `json:"assignment,omitempty"`

	// ReadBatchSize is how many records of a shard one request asks for; default 64.
	ReadBatchSize int `json:"readBatchSize"`
	// PollingIntervalMs is how many milliseconds a shard is left alone after a
	// request that brought nothing; default 250.
	PollingIntervalMs int `json:"pollingIntervalMs"`
	// NumTransportWorkers is how many requests are under way at once; default 8.
	NumTransportWorkers int `json:"numTransportWorkers"`
	// DescribeInterval is how often it is asked how many shards there are; default
	// 30s.
	DescribeInterval quantity.Duration `json:"describeInterval"`
	// Timeout bounds each request; default 30s.
	Timeout quantity.Duration `json:"timeout"`
	TLS     *secure.TLS       `json:"tls,omitempty"`
	Nuclio
}

// Nuclio holds Nuclio's names that are accepted, so that a spec need not be
// changed, and have no effect: the dealer and the engine have their own.
type Nuclio struct {
	NumContainerWorkers             int               `json:"numContainerWorkers,omitempty"`
	WorkerAllocationMode            string            `json:"workerAllocationMode,omitempty"`
	SessionTimeout                  quantity.Duration `json:"sessionTimeout,omitempty"`
	HeartbeatInterval               quantity.Duration `json:"heartbeatInterval,omitempty"`
	SequenceNumberCommitInterval    quantity.Duration `json:"sequenceNumberCommitInterval,omitempty"`
	SequenceNumberShardWaitInterval quantity.Duration `json:"sequenceNumberShardWaitInterval,omitempty"`
	RecordBatchSizeChan             int               `json:"recordBatchSizeChan,omitempty"`
	AckWindowSize                   int               `json:"ackWindowSize,omitempty"`
	LogLevel                        int               `json:"logLevel,omitempty"`
}

const (
	seekLatest   = "latest"
	seekEarliest = "earliest"
	// webAddress is where the platform's web API is for what runs in its cluster.
	webAddress = "http://v3io-webapi:8081"
)

func defaults() Config {
	return Config{
		SeekTo: seekLatest, ReadBatchSize: 64, PollingIntervalMs: 250, NumTransportWorkers: 8,
		DescribeInterval: quantity.Duration(30 * time.Second), Timeout: quantity.Duration(30 * time.Second),
	}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	word(&es, "seekTo", c.SeekTo, seekLatest, seekEarliest)
	if c.Assignment != "" {
		word(&es, "assignment", c.Assignment, stream.ByDealer, stream.ToOne)
	}
	within(&es, "readBatchSize", c.ReadBatchSize, 1, 10_000)
	within(&es, "pollingIntervalMs", c.PollingIntervalMs, 1, 3_600_000)
	within(&es, "numTransportWorkers", c.NumTransportWorkers, 1, 10_000)
	span(&es, "describeInterval", c.DescribeInterval)
	span(&es, "timeout", c.Timeout)
	if c.TLS != nil {
		c.TLS.Check(&es)
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

func within(es *document.Errors, field string, n, least, most int) {
	if n < least || n > most {
		es.Add(field, "is %d, expected %d to %d", n, least, most)
	}
}

func span(es *document.Errors, field string, d quantity.Duration) {
	if d.Std() < 10*time.Millisecond {
		es.Add(field, "is %v, expected at least 10ms", d)
	}
}

// complete fills in from the spec what the attributes leave open, checks what is
// named, and makes the way to the web API.
func (c *Config) complete(spec function.Trigger) (*web, error) {
	base, err := c.address(spec.URL)
	if err != nil {
		return nil, err
	}
	var es document.Errors
	c.StreamPath = strings.Trim(c.StreamPath, "/")
	checkName(&es, "containerName", c.ContainerName, false)
	checkName(&es, "streamPath", c.StreamPath, true)
	checkName(&es, "consumerGroup", c.ConsumerGroup, false)
	if c.TLS != nil && base.Scheme != "https" {
		es.Add("tls", "is only for an url that begins with https://")
	}
	w := &web{base: base, tls: c.TLS, conns: c.NumTransportWorkers, timeout: c.Timeout.Std()}
	w.credentials(&es, spec)
	return w, es.Err()
}

// address reads http://host:port, or http://host:port/container/path@group, as
// Nuclio has it. Its errors do not show the url, which may hold a password.
func (c *Config) address(s string) (*url.URL, error) {
	if s == "" {
		s = webAddress
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, document.Under("url", errors.New("is none, such as "+webAddress))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, document.Under("url", errors.New("begins with neither http:// nor https://"))
	case u.Host == "":
		return nil, document.Under("url", errors.New("names no host"))
	case u.User != nil:
		return nil, document.Under("url", errors.New("has a user, which is shown to whoever may see the function; the fields username and password are not"))
	case u.RawQuery != "" || u.Fragment != "":
		return nil, document.Under("url", errors.New("has a query or a fragment, which mean nothing here"))
	}
	if path := strings.Trim(u.Path, "/"); path != "" {
		if err := c.place(path); err != nil {
			return nil, document.Under("url", err)
		}
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// place reads container/path@group.
func (c *Config) place(s string) error {
	if c.ContainerName != "" || c.StreamPath != "" || c.ConsumerGroup != "" {
		return errors.New("has a path, and attributes name container, stream or group as well: it is one or the other")
	}
	path, group, ok := strings.Cut(s, "@")
	container, stream, is := strings.Cut(path, "/")
	if !ok || !is || strings.Contains(group, "@") {
		return errors.New("has a path that is no container/stream/path@group")
	}
	c.ContainerName, c.StreamPath, c.ConsumerGroup = container, stream, group
	return nil
}

// checkName says what is wrong with a name, or a path of names.
func checkName(es *document.Errors, field, s string, path bool) {
	switch {
	case s == "":
		es.Add(field, "is required")
		return
	case len(s) > 1024:
		es.Add(field, "has %d bytes, expected at most 1024", len(s))
		return
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		es.Add(field, "is %q: it has a control character, or is no text", s)
		return
	case !path && strings.Contains(s, "/"):
		es.Add(field, "is %q, a name without a slash is expected", s)
		return
	}
	for _, part := range strings.Split(s, "/") {
		if part == "" || part == "." || part == ".." {
			es.Add(field, "is %q: %q is no name", s, part)
			return
		}
	}
}
