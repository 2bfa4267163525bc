package host

import (
	"maps"
	"math"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// tallies count the calls of a binding by operation. Of these there are few: the
// map is copied for each new one, and read without a lock.
type tallies struct {
	all atomic.Pointer[map[string]*tally]
	mu  sync.Mutex // of who adds one
}

// tally is what was counted of one operation. Times are counted in steps of an
// eighth of each power of two nanoseconds.
type tally struct {
	calls, failed, nanos atomic.Uint64
	steps                [64 * perPower]atomic.Uint64
}

const perPower = 8

// Operation says how the calls of one operation went that asked the service.
// Times are in seconds; the quantiles are right to an eighth.
type Operation struct {
	Name   string  `json:"name"` // such as kv.get
	Calls  uint64  `json:"calls"`
	Failed uint64  `json:"failed"` // but for those that found nothing, or another version
	Mean   float64 `json:"mean"`
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
}

func (t *tallies) note(operation string, took time.Duration, err error) {
	one := t.of(operation)
	one.calls.Add(1)
	one.nanos.Add(uint64(took))
	one.steps[step(took)].Add(1)
	if failure(err) {
		one.failed.Add(1)
	}
}

// of returns the tally of an operation.
func (t *tallies) of(operation string) *tally {
	if all := t.all.Load(); all != nil && (*all)[operation] != nil {
		return (*all)[operation]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]*tally{}
	if had := t.all.Load(); had != nil {
		maps.Copy(all, *had)
	}
	one := all[operation]
	if one == nil {
		one = &tally{}
		all[operation] = one
		t.all.Store(&all)
	}
	return one
}

// failure reports whether an error is more than an answer.
func failure(err error) bool {
	switch data.ReasonOf(err) {
	case data.NotFound, data.Conflict:
		return false
	}
	return err != nil
}

// step is in which step a time is counted.
func step(took time.Duration) int {
	n := uint64(max(took, perPower))
	power := bits.Len64(n) - 1
	return power*perPower + int(n>>(power-3))&(perPower-1)
}

// middle is the time in the middle of a step, in seconds.
func middle(step int) float64 {
	return math.Ldexp(1+(float64(step%perPower)+0.5)/perPower, step/perPower) / 1e9
}

// operations says what was counted, by name.
func (t *tallies) operations() []Operation {
	all := t.all.Load()
	if all == nil {
		return nil
	}
	var out []Operation
	for _, name := range slices.Sorted(maps.Keys(*all)) {
		out = append(out, (*all)[name].operation(name))
	}
	return out
}

func (t *tally) operation(name string) Operation {
	o := Operation{Name: name, Calls: t.calls.Load(), Failed: t.failed.Load()}
	var steps [64 * perPower]uint64
	var sum uint64
	for i := range t.steps {
		steps[i] = t.steps[i].Load()
		sum += steps[i]
	}
	if o.Calls > 0 {
		o.Mean = float64(t.nanos.Load()) / float64(o.Calls) / 1e9
	}
	o.P50, o.P99 = quantile(&steps, sum, 0.5), quantile(&steps, sum, 0.99)
	return o
}

func quantile(steps *[64 * perPower]uint64, sum uint64, q float64) float64 {
	if sum == 0 {
		return 0
	}
	left := uint64(math.Ceil(q * float64(sum)))
	for i, n := range steps {
		if n >= left {
			return middle(i)
		}
		left -= n
	}
	return 0
}
