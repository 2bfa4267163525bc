package history

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/platform"
)

// counted is what a processor counted since it began, and how it is now.
type counted struct {
	deployment          string
	by                  map[string]tally // trigger
	started             time.Time
	start               *Start // nil before its first answer
	ok, failed, refused float64
	restarts            float64
	ran, waited         buckets
	workers, busy       float64
	waiting, lag        float64
}

// tally is what came by a trigger.
type tally struct{ ran, failed float64 }

// origin is a trigger of a version, "" for the working copy.
type origin struct{ trigger, version string }

// share adds what came by each trigger.
func (c counted) share(by map[origin]tally) {
	version := ""
	if d, ok := catalog.ParseDeployment(c.deployment); ok && d.Version > 0 {
		version = d.Label()
	}
	for trigger, n := range c.by {
		o := origin{trigger, version}
		by[o] = tally{by[o].ran + n.ran, by[o].failed + n.failed}
	}
}

// rates are what came in a second.
func rates(by map[origin]tally, seconds float64) []Source {
	if seconds <= 0 {
		return nil
	}
	out := make([]Source, 0, len(by))
	for o, n := range by {
		out = append(out, Source{o.trigger, o.version, round(n.ran / seconds), round(n.failed / seconds)})
	}
	slices.SortFunc(out, func(a, b Source) int {
		return cmp.Or(cmp.Compare(a.Trigger, b.Trigger), cmp.Compare(a.Version, b.Version))
	})
	return out[:min(len(out), mostSources)]
}

// buckets count what took no longer than a time in seconds, and longer than the
// bucket before.
type buckets map[float64]float64

// outcomes of events that were run and failed, and of those that were not run.
var (
	failures = []string{"error", "timeout", "crash"}
	refusals = []string{"busy", "stopping"}
)

// read reads a processor's metrics; who tells the process from all others. What
// they say is the function's to forge, and is taken for nothing but numbers.
func read(reply platform.Reply) (who string, c counted, err error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(reply.Body))
	if err != nil {
		return "", c, fmt.Errorf("read metrics of %s: %w", reply.Replica, err)
	}
	start := 0.0
	for _, m := range families["process_start_time_seconds"].GetMetric() {
		start = sound(m.GetGauge().GetValue())
	}
	c.started = time.UnixMilli(int64(start * 1000))
	for _, m := range families["myelin_events_total"].GetMetric() {
		n := sound(m.GetCounter().GetValue())
		switch outcome := label(m, "outcome"); {
		case outcome == "ok":
			c.ok += n
			c.came(label(m, "trigger"), tally{ran: n})
		case slices.Contains(failures, outcome):
			c.failed += n
			c.came(label(m, "trigger"), tally{n, n})
		case slices.Contains(refusals, outcome):
			c.refused += n
		}
	}
	for _, m := range families["myelin_worker_restarts_total"].GetMetric() {
		c.restarts += sound(m.GetCounter().GetValue())
	}
	c.start = startOf(families["myelin_start_phase_seconds"])
	c.ran = histogram(families["myelin_event_duration_seconds"])
	c.waited = histogram(families["myelin_event_wait_seconds"])
	for _, m := range families["myelin_workers"].GetMetric() {
		n := sound(m.GetGauge().GetValue())
		c.workers += n
		if label(m, "state") == "busy" {
			c.busy += n
		}
	}
	c.waiting = gauges(families["myelin_events_waiting"])
	c.lag = gauges(families["myelin_trigger_lag"])
	return fmt.Sprint(reply.Replica, " ", start), c, nil
}

// came notes what came by a trigger, of so many triggers.
func (c *counted) came(trigger string, n tally) {
	was, known := c.by[trigger]
	if !known && len(c.by) >= mostSources || len(trigger) > longestTrigger {
		return
	}
	if c.by == nil {
		c.by = map[string]tally{}
	}
	c.by[trigger] = tally{was.ran + n.ran, was.failed + n.failed}
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func gauges(f *dto.MetricFamily) (sum float64) {
	for _, m := range f.GetMetric() {
		sum += sound(m.GetGauge().GetValue())
	}
	return sum
}

func histogram(f *dto.MetricFamily) buckets {
	out := buckets{}
	for _, m := range f.GetMetric() {
		before := 0.0
		for _, b := range m.GetHistogram().GetBucket() {
			n, bound := float64(b.GetCumulativeCount()), b.GetUpperBound()
			if !(bound > least) || len(out) >= maxBuckets {
				continue
			}
			out[bound] += max(0, n-before)
			before = n
		}
	}
	return out
}

// What a processor can have counted.
const (
	least          = 1e-9 // of a bucket's bounds
	maxBuckets     = 100
	longestTrigger = 256
	large          = 1e15
)

// sound makes a number that can be counted on of any.
func sound(v float64) float64 {
	if math.IsNaN(v) || v < 0 {
		return 0
	}
	return min(v, large)
}

// since is what was counted after was, which the same process said before.
func (c counted) since(was counted) counted {
	c.ok, c.failed, c.refused = max(0, c.ok-was.ok), max(0, c.failed-was.failed), max(0, c.refused-was.refused)
	c.restarts = max(0, c.restarts-was.restarts)
	c.ran, c.waited = c.ran.since(was.ran), c.waited.since(was.waited)
	by := make(map[string]tally, len(c.by))
	for trigger, n := range c.by {
		had := was.by[trigger]
		by[trigger] = tally{max(0, n.ran-had.ran), max(0, n.failed-had.failed)}
	}
	c.by = by
	return c
}

func (b buckets) since(was buckets) buckets {
	out := make(buckets, len(b))
	for bound, n := range b {
		out[bound] = max(0, n-was[bound])
	}
	return out
}

func (c *counted) plus(o counted) {
	c.ok, c.failed, c.refused, c.restarts = c.ok+o.ok, c.failed+o.failed, c.refused+o.refused, c.restarts+o.restarts
	c.workers, c.busy, c.waiting, c.lag = c.workers+o.workers, c.busy+o.busy, c.waiting+o.waiting, c.lag+o.lag
	c.ran, c.waited = c.ran.plus(o.ran), c.waited.plus(o.waited)
}

func (b buckets) plus(o buckets) buckets {
	if b == nil {
		b = buckets{}
	}
	for bound, n := range o {
		b[bound] += n
	}
	return b
}

func (c counted) tell(p *Point) {
	p.Events, p.Errors, p.Refused, p.Restarts = c.ok+c.failed, c.failed, c.refused, c.restarts
	p.Workers, p.Busy, p.Waiting, p.Lag = c.workers, c.busy, c.waiting, c.lag
	p.Times = c.ran.times()
	p.P50, p.P99, p.Wait = c.ran.within(0.5), c.ran.within(0.99), c.waited.within(0.99)
}

// times are the buckets that are not empty, the first so many.
func (b buckets) times() []Took {
	var out []Took
	for _, bound := range slices.Sorted(maps.Keys(b)) {
		n := b[bound]
		if n <= 0 {
			continue
		}
		if len(out) == mostTimes {
			break
		}
		one := Took{UpTo: float32(bound), Events: float32(n)}
		if math.IsInf(float64(one.UpTo), 1) {
			one.UpTo = 0
		}
		out = append(out, one)
	}
	return out
}

// within is the time within which a part of what was counted was done; 0 if
// nothing was. Within a bucket all times are taken for equally likely; what is
// longer than the last bound is taken for that.
func (b buckets) within(part float64) float64 {
	total := 0.0
	for _, n := range b {
		total += n
	}
	if total == 0 {
		return 0
	}
	bounds := slices.Sorted(maps.Keys(b))
	lower, below, finite := 0.0, 0.0, 0.0
	for _, bound := range bounds {
		if math.IsInf(bound, 1) {
			return round(finite)
		}
		if n := b[bound]; n > 0 && below+n >= part*total {
			return round(lower + (bound-lower)*(part*total-below)/n)
		}
		below += b[bound]
		lower, finite = bound, bound
	}
	return round(finite)
}

// round leaves four figures, which are more than were measured.
func round(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	unit := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*unit) / unit
}
