// Package sql is the trigger that runs a function on the rows of a table or a
// query, by a column whose value rises. It holds the statements, how a row
// becomes an event, and the table that keeps how far was read. When it is asked,
// and what becomes of the events, is the engines'. It knows no worker and no
// runtime.
package sql

import (
	"errors"
	"log/slog"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

// Kind is the trigger's name in a spec.
const Kind = "sql"

// Factory makes SQL triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on new rows of a table or query of PostgreSQL, MySQL, MariaDB or SQLite.", defaults, build)
}

func build(s trigger.Settings, c Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	at, err := link.Parse(s, link.Options{Timeout: c.Timeout.Std(), TLS: c.TLS})
	if err != nil {
		return nil, err
	}
	if c.Listen != "" && !at.Listens() {
		return nil, document.Under("listen", errors.New("is for PostgreSQL; others are asked at the interval"))
	}
	topic := c.Table
	if topic == "" {
		topic = "query"
	}
	return poll.New(s, poll.Options{Config: c.Config, Kind: Kind, Topic: topic}, &source{cfg: c, at: at, settings: s})
}
