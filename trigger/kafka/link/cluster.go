// Package link is what the trigger and the binding of Kafka have in common: where
// brokers are, as whom they are asked, and how connections are made. It knows no
// group, no topic that is read and no engine.
package link

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/document"
)

// Cluster is where the brokers are, and who asks there.
type Cluster struct {
	Brokers     []string // host:port
	SASL        *SASL
	TLS         func() (*tls.Config, error) // nil: none
	DialTimeout time.Duration
	Log         *slog.Logger
}

// Base are the options of every client, and the lines of those made with them.
func (c *Cluster) Base() ([]kgo.Opt, *Lines, error) {
	ls := &Lines{timeout: c.DialTimeout}
	if c.TLS != nil {
		var err error
		if ls.tls, err = c.TLS(); err != nil {
			return nil, nil, err
		}
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("myelin"),
		kgo.Dialer(ls.dial),
		kgo.WithLogger(logger{c.Log}),
		kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(500 * time.Millisecond), // how soon a new leader is found
		kgo.MetadataMaxAge(time.Minute),            // and a new topic that fits a pattern, or a new shard
	}
	if c.SASL.On() {
		opts = append(opts, kgo.SASL(c.SASL.Auth()))
	}
	return opts, ls, nil
}

// Explain words an error for somebody who has the spec before them.
func (c *Cluster) Explain(err error) error {
	where := "kafka at " + strings.Join(c.Brokers, ", ")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.SaslAuthenticationFailed), errors.Is(err, kerr.IllegalSaslState):
		return fmt.Errorf("%s refuses the user %q: %w", where, c.user(), err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Errorf("%s does not know the mechanism %s: %w", where, c.SASL.mechanism(), err)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Errorf("%s does not let the user %q: %w", where, c.user(), err)
	}
	if e, ok := errors.AsType[*kgo.ErrFirstReadEOF](err); ok {
		return fmt.Errorf("%s hangs up at once: does it want TLS or SASL, or another of them? %w", where, e)
	}
	return fmt.Errorf("%s: %w", where, err)
}

func (c *Cluster) user() string {
	if c.SASL.On() {
		return c.SASL.User
	}
	return ""
}

// Brokers reads an url: one host:port or several divided by commas, each with
// kafka:// before it or not.
func Brokers(es *document.Errors, url string) (all []string) {
	for b := range strings.SplitSeq(url, ",") {
		b = strings.TrimPrefix(strings.TrimSpace(b), "kafka://")
		CheckBroker(es, "url", b)
		all = append(all, b)
	}
	return all
}

// CheckBroker says what is wrong with a host:port.
func CheckBroker(es *document.Errors, path, b string) {
	host, port, err := net.SplitHostPort(b)
	if err != nil || host == "" || port == "" {
		es.Add(path, "%q is not host:port, such as broker-1:9092", b)
	}
}

// Word reports a text that is none of those known.
func Word(es *document.Errors, path, v string, known ...string) {
	if !slices.Contains(known, v) {
		es.Add(path, "%q is none of %s%s", v, strings.Join(known, ", "), document.DidYouMean(v, known))
	}
}
