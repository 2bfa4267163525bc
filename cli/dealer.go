package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api"
)

// dealerKind is the deal of a trigger's shards, as get and describe show it.
func dealerKind() kind {
	return kind{
		name: "Dealer", one: "dealer", many: "dealer", nouns: []string{"dealt", "shards"}, ofFunction: true,
		columns: []string{"NAME", "SHARDS", "PROCESSORS", "UNOWNED", "MOVING", "SKEW", "MOVES", "WITHOUT OWNER"}, wide: []string{"NAMESPACE", "LONGEST", "TERM"},
		row: func(raw json.RawMessage, wide bool) []string {
			t := read[api.DealerTable](raw)
			cells := []string{t.Function + ":" + t.Trigger, fmt.Sprint(t.Resources), fmt.Sprint(len(t.Members)), fmt.Sprint(t.Unowned), fmt.Sprint(t.Moving), fmt.Sprintf("%.1f", t.Skew),
				fmt.Sprint(t.Moves), lasted(t.Without)}
			if wide {
				cells = append(cells, t.Namespace, lasted(t.Longest), fmt.Sprint(t.Term))
			}
			return cells
		},
		page: func(_ *app, raw json.RawMessage) string { return dealerPage(read[api.DealerTable](raw)) },
		none: "shards are dealt where a trigger has the attribute shards",
	}
}

func lasted(d time.Duration) string { return d.Round(time.Millisecond).String() }

// mostMovesShown is how many of the last moves a person is shown.
const mostMovesShown = 20

// dealerPage is a table for a person to read.
func dealerPage(t api.DealerTable) string {
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "%-14s %s\n", name+":", value) }
	row("Trigger", t.Function+":"+t.Trigger)
	row("Namespace", t.Namespace)
	row("Shards", fmt.Sprintf("%d, %d without owner, %d moving", t.Resources, t.Unowned, t.Moving))
	row("Skew", fmt.Sprintf("%.1f", t.Skew))
	row("Moves", fmt.Sprintf("%d since %s", t.Moves, ago(t.Restored)))
	row("Without owner", fmt.Sprintf("%s in sum, %s the longest", lasted(t.Without), lasted(t.Longest)))
	section := func(name string, rows [][]string) {
		if len(rows) > 1 {
			fmt.Fprintf(&b, "\n%s:\n", name)
			_ = terminal.Table(&b, rows) // a builder takes everything
		}
	}
	rows := [][]string{{"  NAME", "CAPACITY", "DUE", "HAS", "SILENT", "STATE"}}
	for _, p := range t.Members {
		state := ""
		if p.Leaving {
			state = "leaving"
		}
		rows = append(rows, []string{"  " + p.Name, fmt.Sprint(p.Capacity), fmt.Sprint(p.Due), fmt.Sprint(p.Has), lasted(time.Duration(p.Silent) * time.Millisecond), state})
	}
	section("Processors", rows)
	rows = [][]string{{"  SHARD", "EPOCH", "OWNER", "MOVES TO", "WHY"}}
	for _, l := range t.Leases {
		rows = append(rows, []string{"  " + l.Name, fmt.Sprint(l.Epoch), l.Holder, l.To, l.Why})
	}
	section("Leases", rows)
	rows = [][]string{{"  WHEN", "SHARD", "FROM", "TO", "EPOCH", "WHY"}}
	for _, m := range t.Log[:min(len(t.Log), mostMovesShown)] {
		rows = append(rows, []string{"  " + ago(m.At), m.Resource, m.From, m.To, fmt.Sprint(m.Epoch), m.Why})
	}
	section("Last moves", rows)
	return b.String()
}
