// Package jetstream is the trigger that consumes a stream of NATS JetStream by a
// durable pull consumer. It holds what is peculiar to it: the consumer and its
// stream, asking for messages, acks and their deadlines, publishing. Attempts,
// dead letters, batches and the drain are the queue engine's; or the stream
// engine's, where the stream lies in shards that are assigned. It knows no worker
// and no runtime.
package jetstream

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
	"github.com/myelin-run/myelin/trigger/stream"
)

// Kind is the trigger's name in a spec.
const Kind = "jetstream"

// Factory makes JetStream triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the messages of a NATS JetStream stream.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	if cfg.Ordered {
		if s.Spec.Batch != nil && s.Spec.Batch.Mode == "enable" {
			return nil, &trigger.SpecError{Err: document.Under("batch", errors.New("an ordered trigger takes one message at a time"))}
		}
		s.Spec.Prefetch, s.Spec.MaxInFlight = 1, 1
	}
	src, err := newSource(s, cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Shards > 0 {
		as := stream.Assigned(s, cfg.Assignment, cfg.Shards, cfg.Stream)
		return stream.New(s, stream.Options{Kind: Kind, Assignment: as}, &shardSource{src})
	}
	return queue.New(s, queue.Options{Kind: Kind, Requeues: true, Delays: true, Rejects: true, Numbers: true, ExtendEvery: cfg.AckWait.Std() / 3, Prefetch: 256}, src)
}

// newSource checks what the configuration alone cannot tell, and opens nothing.
func newSource(s trigger.Settings, cfg Config) (*source, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	dialer, err := link.New(s, cfg.Options)
	if err != nil {
		return nil, err
	}
	if cfg.Consumer == "" {
		cfg.Consumer = cleaned(strings.Trim(s.Namespace+"-"+s.Function+"-"+s.Name, "-"))
	}
	if cfg.Consumer == "" {
		return nil, document.Under("consumer", errors.New("is required"))
	}
	src := &source{cfg: cfg, log: s.Log, dialer: dialer, topics: &link.Publisher{Dialer: dialer}, attempts: 0}
	if r := s.Spec.Retry; r != nil {
		src.attempts = r.Attempts
	}
	return src, nil
}

// cleaned makes a name that a consumer may have.
func cleaned(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n.*>/\\", r) {
			return '_'
		}
		return r
	}, name)
}

// checkName says what is wrong with the name of a stream or consumer.
func checkName(es *document.Errors, field, name string) {
	if name != cleaned(name) {
		es.Add(field, "is %q: a name has no space, dot, *, > or slash", name)
	}
}

func describe(subjects []string) string {
	if len(subjects) == 0 {
		return "all"
	}
	return fmt.Sprintf("%q", subjects)
}
