// Package files is the trigger that runs a function on the files that come to a
// directory. It holds when a file is complete, how one of several processors
// takes it, and where it goes then. What becomes of the events is the queue
// engine's. It knows no worker and no runtime.
package files

import (
	"log/slog"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/delivery"
	"github.com/myelin-run/myelin/trigger/queue"
)

// Kind is the trigger's name in a spec.
const Kind = "files"

// Factory makes triggers of files.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the files that come to a directory.", defaults, build)
}

func build(s trigger.Settings, c Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Spec.OnFailure == nil { // a file that failed is kept as one
		s.Spec.OnFailure = &function.Destination{Kind: delivery.Broker}
	}
	return queue.New(s, queue.Options{Kind: Kind, Requeues: true, Rejects: true, Prefetch: prefetch}, &source{cfg: c, log: s.Log})
}

// prefetch is how many files are taken ahead: their contents are in memory.
const prefetch = 16
