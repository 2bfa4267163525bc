package stream

import (
	"strings"

	"github.com/myelin-run/myelin/trigger"
)

// Who assigns shards, as the attribute assignment says it.
const (
	ByDealer = "dealer" // the host's Assigner
	ToOne    = "all"    // nobody: there is one processor
)

// Assigned makes the assignment of shards 0 to n-1 of each topic that an
// attribute asks for. That there is no dealer shows when the trigger runs.
func Assigned(s trigger.Settings, by string, n int, topics ...string) *Assignment {
	as := &Assignment{By: s.Shards, Table: TableOf(s), Part: s.Share.Part}
	if by == ToOne {
		as.By = All{}
	}
	for _, t := range topics {
		for i := range n {
			as.All = append(as.All, trigger.Shard{Topic: t, N: int32(i)}) //nolint:gosec // the trigger bounds it
		}
	}
	return as
}

// TableOf is the dealer's table of a trigger's shards: the same for all versions
// of the function, which share them.
func TableOf(s trigger.Settings) string {
	parts := []string{s.Namespace, s.Function, s.Name}
	if s.Namespace == "" {
		parts[0] = "default"
	}
	return strings.Join(parts, ".")
}
