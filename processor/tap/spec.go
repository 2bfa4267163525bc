// Package tap copies events on their way to the function while somebody wants to
// see them: a few, for a while, with what must not be seen taken out. It stands
// between triggers and a pool and knows neither. While nobody captures it costs
// an event one atomic load; while somebody does, nobody waits for it: what does
// not fit is counted and left out.
package tap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// Spec says what is captured, and how much at most. What is zero has a default.
type Spec struct {
	// Most events; default 20, at most 1000.
	Count int `json:"count,omitempty"`
	// How long at most; default 1m, at most 1h.
	For quantity.Duration `json:"for,omitempty"`
	// Only events of the trigger of this name.
	Trigger string `json:"trigger,omitempty"`
	// Only events that failed.
	Failed bool `json:"failed,omitempty"`
	// Which part of the events is looked at, by chance; default 1, all of them.
	Fraction float64 `json:"fraction,omitempty"`
	// Most bytes of one body, which is cut behind them; default 64Ki, at most 1Mi.
	EventSize quantity.Size `json:"eventSize,omitempty"`
	// Most bytes of all events together; default 4Mi, at most 16Mi.
	Size quantity.Size `json:"size,omitempty"`
	// Further headers whose values are taken out.
	RedactHeaders []string `json:"redactHeaders,omitempty"`
	// Further fields, of JSON, forms, queries and records, whose values are taken out.
	RedactFields []string `json:"redactFields,omitempty"`
	// Names of headers and fields that stay although their names sound secret.
	Keep []string `json:"keep,omitempty"`
}

// The limits of a [Spec].
const (
	DefaultCount, MostCount         = 20, 1000
	DefaultTime, MostTime           = time.Minute, time.Hour
	DefaultEventSize, MostEventSize = 64 << 10, 1 << 20
	DefaultSize, MostSize           = 4 << 20, 16 << 20
	mostNames, mostName             = 100, 200
)

// Complete fills in defaults and says what is wrong.
func (s *Spec) Complete() error {
	var wrong document.Errors
	say := func(path, format string, args ...any) {
		wrong = append(wrong, &document.Error{Path: path, Msg: fmt.Sprintf(format, args...)})
	}
	within(&s.Count, DefaultCount, MostCount, "count", say)
	within(&s.For, quantity.Duration(DefaultTime), quantity.Duration(MostTime), "for", say)
	within(&s.EventSize, DefaultEventSize, MostEventSize, "eventSize", say)
	within(&s.Size, DefaultSize, MostSize, "size", say)
	if s.Fraction == 0 {
		s.Fraction = 1
	}
	if !(s.Fraction > 0 && s.Fraction <= 1) {
		say("fraction", "want more than 0, and 1 at most, got %v", s.Fraction)
	}
	for path, names := range map[string][]string{"redactHeaders": s.RedactHeaders, "redactFields": s.RedactFields, "keep": s.Keep} {
		if len(names) > mostNames || slices.ContainsFunc(names, func(n string) bool { return plain(n) == "" || len(n) > mostName }) {
			say(path, "want at most %d names, each of 1 to %d characters", mostNames, mostName)
		}
	}
	if i := slices.IndexFunc(s.Keep, always); i >= 0 {
		say("keep", "%s is taken out whatever is asked for", s.Keep[i])
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.SortFunc(wrong, func(a, b *document.Error) int { return strings.Compare(a.Path, b.Path) })
	return wrong
}

// within fills in a default and says when a value is not between 1 and most.
func within[T ~int | ~int64](v *T, def, most T, path string, say func(path, format string, args ...any)) {
	if *v == 0 {
		*v = def
	}
	if *v < 1 || *v > most {
		say(path, "want more than 0, and %v at most, got %v", most, *v)
	}
}

// ErrUnlike says that a processor's report is not what was asked for.
var ErrUnlike = errors.New("the report is not of what was asked for")
