package function

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Share says how much of a trigger's source one processor takes, where several
// versions of a function divide a source between them.
type Share struct {
	// Part is from 0 to 1: of the limit of events in flight for a queue, of the
	// shards for a stream. 0: nothing is taken.
	Part float64 `json:"part"`
	// From is for sources that time alone drives: the events up to then were
	// another's. Zero: from now on.
	From time.Time `json:"from,omitzero"`
}

// Whole returns the share of a trigger of which nobody says otherwise.
func Whole() Share { return Share{Part: 1} }

// Shares are those of a function's triggers by name; one that is not named is
// whole.
type Shares map[string]Share

// Of returns the share of a trigger.
func (s Shares) Of(name string) Share {
	if share, ok := s[name]; ok {
		return share
	}
	return Whole()
}

// Validate reports the first share, by name, that is none.
func (s Shares) Validate() error {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if p := s[name].Part; math.IsNaN(p) || p < 0 || p > 1 {
			return fmt.Errorf("share of trigger %s: %v is not from 0 to 1", name, p)
		}
	}
	return nil
}
