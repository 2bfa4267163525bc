// Package redis is the trigger that reads Redis Streams in a consumer group. It
// holds what is peculiar to Redis: groups and their pending entries, claims of
// what the dead have left, fields. It stands on the queue engine, for a group
// acks each entry by itself and hands entries of one stream to many consumers,
// in no order that a shard would keep; and on the stream engine where a stream
// lies in shards that are assigned. It knows no worker and no runtime.
package redis

import (
	"crypto/rand"
	"fmt"
	"os"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/redis/link"
)

// Kind is the trigger's name in a spec.
const Kind = "redis"

// Factory makes Redis triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the entries of Redis Streams.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	src, err := newSource(s, cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Shards > 0 {
		return dealt(s, src)
	}
	// Attempts wait in the processor, although Redis counts deliveries: its count
	// has also those entries that were only near a message that killed its
	// processor.
	o := queue.Options{Kind: Kind, Requeues: true, ExtendEvery: cfg.MinIdle.Std() / 3}
	return queue.New(s, o, src)
}

// newSource checks what the configuration alone cannot tell, and opens nothing.
func newSource(s trigger.Settings, cfg Config) (*source, error) {
	s.Log = link.Logger(s.Log)
	to, err := link.New(s, cfg.Options)
	if err != nil {
		return nil, err
	}
	start, err := trigger.ParseStart(s.Spec.StartAt)
	if err != nil {
		return nil, document.Under("startAt", err)
	}
	if cfg.Group == "" {
		if cfg.Group = s.Function; cfg.Group == "" {
			cfg.Group = s.Name
		}
	}
	src := &source{cfg: cfg, log: s.Log, to: to, start: start}
	src.family = fmt.Sprintf("myelin-%s-%s-", s.Function, s.Name)
	src.consumer = cfg.Consumer
	if src.consumer == "" {
		host, _ := os.Hostname() // the rest is name enough
		src.consumer = fmt.Sprintf("%s%s-%d-%s", src.family, host, os.Getpid(), rand.Text()[:8])
	}
	return src, nil
}
