package trigger

import (
	"fmt"
	"strconv"
	"time"
)

// Start is a place to begin reading at, as the spec's startAt says it. The zero
// Start leaves it to the source.
type Start struct {
	Where  Where
	Offset int64     // if Where is AtOffset
	Time   time.Time // if Where is AtTime
}

// Where is a kind of place.
type Where int

// The kinds of places.
const (
	Anywhere Where = iota // the source's default
	Earliest
	Latest
	AtOffset
	AtTime
)

// ParseStart reads "", earliest, latest, an offset such as 1200, or a time as
// RFC 3339 writes it, such as 2026-03-01T12:00:00Z.
func ParseStart(s string) (Start, error) {
	switch s {
	case "":
		return Start{}, nil
	case "earliest":
		return Start{Where: Earliest}, nil
	case "latest":
		return Start{Where: Latest}, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		return Start{Where: AtOffset, Offset: n}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return Start{Where: AtTime, Time: t}, nil
	}
	return Start{}, fmt.Errorf("%q is neither earliest, latest, an offset nor a time such as 2026-03-01T12:00:00Z", s)
}
