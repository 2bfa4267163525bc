// Package s3 is the trigger that runs a function on the objects of a bucket of a
// service that speaks the protocol of Amazon S3. It holds how new and changed
// objects are found by listing, what is remembered of them, and where that is
// kept. When it is asked, and what becomes of the events, is the engines'. It knows
// no worker and no runtime.
package s3

import (
	"log/slog"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/poll"
)

// Kind is the trigger's name in a spec.
const Kind = "s3"

// Factory makes triggers of objects.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on new and changed objects of a bucket like those of Amazon S3.", defaults, build)
}

func build(s trigger.Settings, c Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	at, err := parseURL(s)
	if err != nil {
		return nil, &trigger.SpecError{Err: document.Under("url", err)}
	}
	return poll.New(s, poll.Options{Config: c.Config, Kind: Kind, Topic: c.Bucket}, &source{cfg: c, at: at, settings: s})
}
