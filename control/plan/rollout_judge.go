package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/myelin-run/myelin/function"
)

// Criteria says what of its criteria a version does not keep to, "" if it does
// or cannot be judged yet. Where those that it replaces have had too few
// requests beside it, baseline stands for them: what they did before. Where
// that is nothing, they have failed with nothing.
func Criteria(c function.RolloutCriteria, its, old, baseline function.RolloutFigures) string {
	least := max(minRequests(c), 1)
	if its.Total() < least {
		return ""
	}
	if old.Total() < least && baseline.Total() >= old.Total() {
		old = baseline
	}
	rate, was := its.ErrorRate(), old.ErrorRate()
	if most := c.MaxErrorRate; most != nil && rate > *most {
		return fmt.Sprintf("%s of %d failed, more than %s", share(rate), its.Total(), share(*most))
	}
	if most := c.MaxErrorRateIncrease; most != nil && rate > was+*most {
		return fmt.Sprintf("%s of %d failed, and %s of what it replaces: more than %s above", share(rate), its.Total(), share(was), share(*most))
	}
	if most := c.MaxP99Factor; most != nil && its.Requests >= least && old.Requests >= least {
		limit := max(float64(old.P99)**most, float64(old.P99+c.P99Slack.Std().Microseconds()))
		if float64(its.P99) > limit {
			return fmt.Sprintf("the 99th percentile is %s, and %s of what it replaces: more than %s times", micros(its.P99), micros(old.P99), number(*most))
		}
	}
	return ""
}

// RolloutWeights shares out an alias that led to from: weight percent to
// version, the rest to the others as they shared before. At 100 percent those
// are named with nothing, and so kept running, if keep says so; what had
// nothing before stays so.
func RolloutWeights(from []function.Weighted, version string, weight float64, keep bool) []function.Weighted {
	sum := 0.0
	for _, w := range replaced(from, version) {
		sum += w.Weight
	}
	var out []function.Weighted
	for _, w := range from {
		if w.Version == version || w.Weight > 0 && weight >= 100 && !keep {
			continue
		}
		w.Weight = math.Round(w.Weight*(100-weight)/sum*1e9) / 1e9
		out = append(out, w)
	}
	return append(out, function.Weighted{Version: version, Weight: weight})
}

// replaced are those of an alias that have a share and are not version.
func replaced(from []function.Weighted, version string) (out []function.Weighted) {
	for _, w := range from {
		if w.Version != version && w.Weight > 0 {
			out = append(out, w)
		}
	}
	return out
}

// Replaced are the numbers of the versions that a rollout replaces.
func Replaced(from []function.Weighted, version string) (out []int) {
	for _, w := range replaced(from, version) {
		if n, err := function.ParseVersion(w.Version); err == nil {
			out = append(out, n)
		}
	}
	return out
}

func sameWeights(a, b []function.Weighted) bool {
	order := func(x, y function.Weighted) int { return cmp.Compare(x.Version, y.Version) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order))
}

func weights(ws []function.Weighted) string {
	var out []string
	for _, w := range ws {
		text := w.Version
		if len(ws) > 1 {
			text += " (" + share(w.Weight) + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func share(percent float64) string { return number(percent) + "%" }

// number is a number for a person: two decimals at most.
func number(f float64) string {
	text := strconv.FormatFloat(f, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func micros(n int64) string {
	d := time.Duration(n) * time.Microsecond
	if d >= 100*time.Millisecond {
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

func minRequests(c function.RolloutCriteria) int64 {
	if c.MinRequests == nil {
		return 0
	}
	return *c.MinRequests
}
