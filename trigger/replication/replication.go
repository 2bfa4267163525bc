// Package replication is the trigger that runs a function on the changes of tables
// of PostgreSQL, as its logical replication tells them. It holds the replication
// connection and its protocol, how a change becomes an event, the slot and the
// publication, and the place that is kept beside the slot. What becomes of the
// events is the stream engine's. It knows no worker and no runtime.
package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/sql/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Kind is the trigger's name in a spec.
const Kind = "postgresReplication"

// Factory makes triggers of changes.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the changes of tables of PostgreSQL, by its logical replication.", defaults, build)
}

// Trigger is a [stream.Engine] but for where reading can begin.
type Trigger struct{ *stream.Engine }

var _ trigger.Seeker = (*Trigger)(nil)

func build(s trigger.Settings, c Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	at, err := link.Parse(s, link.Options{Timeout: c.Timeout.Std()})
	if err != nil {
		return nil, err
	}
	if at.Name != link.PostgreSQL.Name {
		return nil, &trigger.SpecError{Err: document.Under("url", errors.New("is none of PostgreSQL"))}
	}
	if err := checkStart(s.Spec.StartAt); err != nil {
		return nil, &trigger.SpecError{Err: document.Under("startAt", err)}
	}
	c.name(s)
	by := c.Assignment
	if by == "" && s.Shards == nil {
		by = stream.ToOne
	}
	o := stream.Options{Kind: Kind, Assignment: stream.Assigned(s, by, 1, c.Publication)}
	e, err := stream.New(s, o, &source{cfg: c, at: at, settings: s})
	if err != nil {
		return nil, err
	}
	return &Trigger{e}, nil
}

// checkStart says why reading cannot begin at a place.
func checkStart(text string) error {
	at, err := trigger.ParseStart(text)
	if err != nil {
		return err
	}
	if at.Where == trigger.AtOffset || at.Where == trigger.AtTime {
		return fmt.Errorf("%q: a slot can be read from earliest, which is what it still has, or latest", text)
	}
	return nil
}

// Seek implements [trigger.Seeker]. What was confirmed is gone: earliest is what
// the slot still has.
func (t *Trigger) Seek(ctx context.Context, to string) error {
	if err := checkStart(to); err != nil {
		return err
	}
	return t.Engine.Seek(ctx, to)
}
