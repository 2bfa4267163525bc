// Package outbox is the trigger that runs a function on the rows of a table of
// PostgreSQL to which programs write what is to happen, in the transaction in
// which they decide it. It holds how rows are taken by one of several processors
// and given back. What becomes of the events is the queue engine's. It knows no
// worker and no runtime.
package outbox

import (
	"errors"
	"log/slog"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

// Kind is the trigger's name in a spec.
const Kind = "outbox"

// Factory makes outbox triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the rows of an outbox in PostgreSQL, each for one processor.", defaults, build)
}

func build(s trigger.Settings, c Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	at, err := link.Parse(s, link.Options{Timeout: c.Timeout.Std()})
	if err != nil {
		return nil, err
	}
	if !at.Listens() {
		return nil, &trigger.SpecError{Err: document.Under("url", errors.New("is not of PostgreSQL, such as postgres://user@db.example.com/shop"))}
	}
	o := queue.Options{Kind: Kind, Requeues: true, Delays: true, Rejects: c.Failed != ""}
	return queue.New(s, o, &source{cfg: c, at: at, log: s.Log, queries: newQueries(at.Dialect, &c)})
}
