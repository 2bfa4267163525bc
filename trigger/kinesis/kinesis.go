// Package kinesis is the trigger that reads streams of Amazon Kinesis. It holds what
// is peculiar to the service: shards that are split and merged and then read after
// their parents, iterators that expire, how often a shard may be asked, records that
// are several in one, and checkpoints in a table of DynamoDB. The stream engine owns
// everything else. It knows no worker and no runtime.
package kinesis

import (
	"errors"
	"log/slog"
	"net/url"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Kind is the trigger's name in a spec, which is Nuclio's.
const Kind = "kinesis"

// Factory makes triggers of Kinesis.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the records of an Amazon Kinesis stream.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	src, err := newSource(s, cfg)
	if err != nil {
		return nil, err
	}
	as := stream.Assigned(s, cfg.Assignment, 0)
	as.Find = src.find
	return stream.New(s, stream.Options{Kind: Kind, Assignment: as}, src)
}

// newSource checks what the attributes alone cannot tell, and opens nothing.
func newSource(s trigger.Settings, cfg Config) (*source, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	start, err := trigger.ParseStart(s.Spec.StartAt)
	if err == nil && start.Where == trigger.AtOffset {
		err = errors.New("is an offset, which shards of Kinesis do not have: expected earliest, latest or a time")
	}
	if err != nil {
		return nil, &trigger.SpecError{Err: document.Under("startAt", err)}
	}
	cfg.nuclio(&s.Spec)
	src := &source{cfg: cfg, log: s.Log, start: start, reader: stream.TableOf(s), changed: make(chan struct{})}
	if src.at, err = amazon.At(s, cfg.Config); err != nil {
		return nil, err
	}
	if cfg.CheckpointURL != "" {
		if u, err := url.Parse(s.Spec.URL); err == nil && u.User != nil && s.Spec.Username == "" {
			s.Spec.Username = u.User.Username()
		}
		s.Spec.URL = cfg.CheckpointURL
	}
	if src.tableAt, err = amazon.At(s, cfg.Config); err != nil {
		return nil, document.Under("checkpointURL", err)
	}
	return src, nil
}
