// Package kafka is the binding of class stream that writes records to topics of
// Kafka. Brokers are reached as the trigger reaches them, by package link; what is
// here is how a message looks, what is waited for, and what errors mean.
package kafka

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/kafka/link"
)

// Kind is the binding's name in a set.
const Kind = "stream/kafka"

// Config is the binding's attributes. Its url is host:port of one or several
// brokers, divided by commas, its secret the password of the attribute sasl, and
// its path what the names of all topics begin with.
type Config struct {
	binding.Limits
	// Linger is how long a record may wait for others, so that they go together.
	// Default 0: those that come at once do.
	Linger quantity.Duration `json:"linger,omitempty"`
	// Compression of records: none (the default), gzip, snappy, lz4 or zstd.
	Compression string `json:"compression,omitempty"`
	// MaxMessageSize is the most bytes of a record; default 1 MiB, as brokers have it.
	MaxMessageSize quantity.Size `json:"maxMessageSize,omitempty"`

	SASL *link.SASL `json:"sasl,omitempty"`
	TLS  *link.TLS  `json:"tls,omitempty"`
}

func defaults() Config {
	return Config{Limits: binding.DefaultLimits(), Compression: "none", MaxMessageSize: 1 << 20}
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	if c.Linger < 0 || c.Linger.Std() > time.Minute {
		es.Add("linger", "is %v, expected 0s to 1m", c.Linger)
	}
	link.Word(&es, "compression", c.Compression, "none", "gzip", "snappy", "lz4", "zstd")
	if c.MaxMessageSize < 1<<10 || c.MaxMessageSize > 1<<30 {
		es.Add("maxMessageSize", "is %v, expected 1Ki to 1Gi", c.MaxMessageSize)
	}
	if c.SASL != nil {
		c.SASL.Check(&es)
	}
	if c.TLS != nil {
		c.TLS.Check(&es)
	}
	return es.Err()
}

// Factory makes bindings that write to Kafka.
func Factory() binding.Factory {
	return component.Define(Kind, "Writes records to topics of Kafka.", defaults, build)
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	var es document.Errors
	brokers := link.Brokers(&es, s.Spec.URL)
	if len(es) > 0 {
		return nil, binding.Wrong("url", "%s", es[0].Msg)
	}
	if c.SASL == nil && s.Spec.Secret != "" {
		return nil, binding.Wrong("secret", "is the password of a user: give the user as the attribute sasl.user")
	}
	cluster := &link.Cluster{Brokers: brokers, SASL: c.SASL.With("", s.Spec.Secret), DialTimeout: c.Timeout.Std(), Log: s.Log}
	if cluster.SASL.Nameless() {
		return nil, binding.Wrong("attributes.sasl.user", "is required")
	}
	if c.TLS.On() {
		cluster.TLS = c.TLS.Config
	}
	if cluster.Log == nil {
		cluster.Log = slog.New(slog.DiscardHandler)
	}
	return &publisher{Limits: c.Limits, cfg: c, cluster: cluster, prefix: s.Spec.Path}, nil
}

// publisher implements [data.Publisher].
type publisher struct {
	binding.Limits
	cfg     Config
	cluster *link.Cluster
	prefix  string

	mu sync.RWMutex
	cl *kgo.Client
}

// Open implements [binding.Binding].
func (p *publisher) Open(ctx context.Context) error {
	opts, lines, err := p.cluster.Base()
	if err != nil {
		return data.As(data.Misuse, err)
	}
	timeout := max(p.cfg.Timeout.Std(), time.Second)
	opts = append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(codecs[p.cfg.Compression]),
		kgo.ProducerBatchMaxBytes(int32(p.cfg.MaxMessageSize)), //nolint:gosec // Validate bounds it
		kgo.ProducerLinger(p.cfg.Linger.Std()),
		kgo.RecordDeliveryTimeout(timeout),
		kgo.ProduceRequestTimeout(timeout),
		kgo.UnknownTopicRetries(1))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return data.As(data.Misuse, err)
	}
	// The client tries again for longer than the caller waits.
	stop := context.AfterFunc(ctx, lines.Cut)
	if err := cl.Ping(ctx); err != nil || !stop() {
		cl.Close()
		if err == nil {
			err = ctx.Err()
		}
		return p.reason(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cl = cl
	return nil
}

func (p *publisher) client() (*kgo.Client, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.cl == nil {
		return nil, data.Errorf(data.Away, "it is not open")
	}
	return p.cl, nil
}

// Check implements [binding.Checker].
func (p *publisher) Check(ctx context.Context) error {
	cl, err := p.client()
	if err != nil {
		return err
	}
	return p.reason(cl.Ping(ctx))
}

// Close implements [binding.Binding].
func (p *publisher) Close() error {
	if cl, err := p.client(); err == nil {
		cl.Close()
	}
	return nil
}

var topicForm = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Publish implements [data.Publisher]. Kafka has a record when all replicas in
// sync do; the producer is idempotent, so that what it tries again is there once.
func (p *publisher) Publish(ctx context.Context, ms []data.Message) []error {
	cl, err := p.client()
	if err != nil {
		return data.Failed(ms, err)
	}
	rs := make([]*kgo.Record, len(ms))
	at := make(map[*kgo.Record]int, len(ms))
	for i := range ms {
		topic := p.prefix + ms[i].Topic
		if !topicForm.MatchString(topic) || topic == "." || topic == ".." {
			return data.Failed(ms, data.Errorf(data.Misuse, "%q is no topic: at most 249 letters, digits, dots, underscores and dashes", topic))
		}
		rs[i] = &kgo.Record{Topic: topic, Key: ms[i].Key, Value: ms[i].Value}
		for _, h := range ms[i].Headers {
			rs[i].Headers = append(rs[i].Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
		}
		at[rs[i]] = i
	}
	errs := make([]error, len(ms))
	for _, r := range cl.ProduceSync(ctx, rs...) { // in the order in which they are done
		errs[at[r.Record]] = p.reason(r.Err)
	}
	return errs
}

// reason says what an error means.
func (p *publisher) reason(err error) error {
	if err == nil || data.ReasonOf(err) != 0 {
		return err
	}
	worded := p.cluster.Explain(err)
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.IllegalSaslState), errors.Is(err, kerr.UnsupportedSaslMechanism),
		errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return data.As(data.Denied, worded)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return data.As(data.NotFound, worded)
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return data.As(data.TooLarge, worded)
	case errors.Is(err, kerr.InvalidTopicException), errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.PolicyViolation):
		return data.As(data.Misuse, worded)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrRecordTimeout):
		return data.As(data.Timeout, worded)
	}
	return data.As(data.Away, worded)
}
