package plan

import (
	"time"

	"github.com/myelin-run/myelin/function"
)

// Keep says which of a function's versions are kept though nothing names them.
type Keep struct {
	Newest int           // so many, by number
	For    time.Duration // and those that were published less long ago
}

// Collect returns the versions that may go, the oldest first. all are in the
// order of their numbers. One that is named, that runs, or to which an alias
// would be rolled back stays whatever k says.
func Collect(all []function.Version, back map[int]bool, k Keep, now time.Time) (out []function.Version) {
	for i, v := range all {
		switch {
		case len(all)-i <= k.Newest, now.Sub(v.Created) < k.For:
		case len(v.Status.NamedBy) > 0, v.Status.State != function.Stopped, back[v.Number]:
		default:
			out = append(out, v)
		}
	}
	return out
}
