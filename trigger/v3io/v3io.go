// Package v3io is the trigger that reads streams of the Iguazio data platform by
// its web API. It holds what is peculiar to that: requests and what they are
// refused with, locations, checkpoints in the attributes of shards. The stream
// engine owns everything else. It knows no worker and no runtime.
package v3io

import (
	"log/slog"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Kind is the trigger's name in a spec, which is Nuclio's.
const Kind = "v3ioStream"

// Factory makes V3IO triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the records of a V3IO stream.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	src, err := newSource(s, cfg)
	if err != nil {
		return nil, err
	}
	as := stream.Assigned(s, src.cfg.Assignment, 0)
	as.Find = src.find
	return stream.New(s, stream.Options{Kind: Kind, Assignment: as}, src)
}

// newSource checks what the attributes alone cannot tell, and opens nothing.
func newSource(s trigger.Settings, cfg Config) (*source, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	w, err := cfg.complete(s.Spec)
	if err != nil {
		return nil, err
	}
	start, err := trigger.ParseStart(s.Spec.StartAt)
	if err != nil {
		return nil, document.Under("startAt", err)
	}
	return &source{cfg: cfg, log: s.Log, web: w, start: start, changed: make(chan struct{})}, nil
}
