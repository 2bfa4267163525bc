package processor

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/myelin-run/myelin/trigger"
)

// sourceCollector asks the triggers that report.
type sourceCollector struct{ p *Processor }

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"trigger", "kind"}, labels...), nil)
}

var (
	sourceState  = describe("myelin_trigger_state", "1 for the state that a trigger is in.", "state")
	sourceShare  = describe("myelin_trigger_share", "Part of the source that the processor takes, 0 to 1.")
	sourceLag    = describe("myelin_trigger_lag", "Events at the source that are not done.")
	sourceFlight = describe("myelin_trigger_in_flight", "Events taken from the source and not settled.")
	sourceEvents = describe("myelin_trigger_events_total", "Events of the source by what became of them: done, retried (each further attempt), skipped, dead, dropped, again.", "result")
	sourceBroken = describe("myelin_trigger_reconnects_total", "Times that the source was connected anew.")
	shardNext    = describe("myelin_trigger_checkpoint", "Offset before which all events of a shard are done.", "topic", "shard")
	shardLag     = describe("myelin_trigger_shard_lag", "Events of a shard that are not done.", "topic", "shard")
)

// Describe implements prometheus.Collector.
func (sourceCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sourceState, sourceShare, sourceLag, sourceFlight, sourceEvents, sourceBroken, shardNext, shardLag} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c sourceCollector) Collect(ch chan<- prometheus.Metric) {
	for _, f := range c.p.feeds {
		if r := f.report(); r != nil {
			to := source{ch, f.name, f.spec.Kind}
			to.metric(sourceShare, prometheus.GaugeValue, f.share().Part)
			to.send(r)
		}
	}
}

// source sends the metrics of one trigger.
type source struct {
	ch         chan<- prometheus.Metric
	name, kind string
}

func (s source) metric(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, t, v, append([]string{s.name, s.kind}, labels...)...)
}

// gauge leaves out what is not known.
func (s source) gauge(d *prometheus.Desc, v int64, labels ...string) {
	if v >= 0 {
		s.metric(d, prometheus.GaugeValue, float64(v), labels...)
	}
}

func (s source) send(r *trigger.Report) {
	s.gauge(sourceState, 1, string(r.State))
	s.gauge(sourceLag, r.Lag)
	s.gauge(sourceFlight, int64(r.InFlight))
	for _, e := range []struct {
		result string
		n      uint64
	}{{"done", r.Done}, {"retried", r.Retried}, {"skipped", r.Skipped}, {"dead", r.Dead}, {"dropped", r.Dropped}, {"again", r.Again}} {
		s.metric(sourceEvents, prometheus.CounterValue, float64(e.n), e.result)
	}
	s.metric(sourceBroken, prometheus.CounterValue, float64(r.Reconnects))
	for _, sh := range r.Shards {
		id := strconv.Itoa(int(sh.Shard))
		s.gauge(shardNext, sh.Next, sh.Topic, id)
		s.gauge(shardLag, sh.Lag, sh.Topic, id)
	}
}
