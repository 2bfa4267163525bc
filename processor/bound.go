package processor

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/myelin-run/myelin/binding/host"
)

// boundCollector reads the bindings when it is asked.
type boundCollector struct{ p *Processor }

func ofBinding(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append([]string{"binding"}, labels...), nil)
}

var (
	boundUp      = ofBinding("myelin_binding_up", "1 if the service was reached at the last call.")
	boundCache   = ofBinding("myelin_binding_cache_total", "What was asked of caches of bindings, by outcome.", "outcome")
	boundBytes   = ofBinding("myelin_binding_cache_bytes", "Bytes in caches of bindings.")
	boundEntries = ofBinding("myelin_binding_cache_entries", "Entries in caches of bindings.")
	boundWrites  = ofBinding("myelin_binding_batch_writes_total", "Writes that were gathered, by outcome.", "outcome")
	boundFlushes = ofBinding("myelin_binding_batch_flushes_total", "Times at which gathered writes were made.")
	boundOpen    = ofBinding("myelin_binding_circuit_open", "1 if calls are refused since the last ones failed.")
	boundOpened  = ofBinding("myelin_binding_circuit_opened_total", "Times at which calls began to be refused.")
)

// Describe implements prometheus.Collector.
func (boundCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{boundUp, boundCache, boundBytes, boundEntries, boundWrites, boundFlushes, boundOpen, boundOpened} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c boundCollector) Collect(ch chan<- prometheus.Metric) {
	if c.p.bindings == nil {
		return
	}
	for _, r := range c.p.bindings.Reports() {
		send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d, t, v, append([]string{r.Name}, labels...)...)
		}
		collectBound(&r, func(d *prometheus.Desc, v float64, labels ...string) { send(d, prometheus.CounterValue, v, labels...) },
			func(d *prometheus.Desc, v float64) { send(d, prometheus.GaugeValue, v) })
	}
}

func collectBound(r *host.Report, count func(*prometheus.Desc, float64, ...string), gauge func(*prometheus.Desc, float64)) {
	gauge(boundUp, truth(r.State == host.Running))
	if c := r.Cache; c != nil {
		count(boundCache, float64(c.Hits-c.Negative), "hit")
		count(boundCache, float64(c.Negative), "negative")
		count(boundCache, float64(c.Misses), "miss")
		count(boundCache, float64(c.Shared), "shared")
		gauge(boundBytes, float64(c.Bytes))
		gauge(boundEntries, float64(c.Entries))
	}
	if b := r.Batch; b != nil {
		count(boundWrites, float64(b.Writes-b.Failed), "ok")
		count(boundWrites, float64(b.Failed), "error")
		count(boundFlushes, float64(b.Flushes))
	}
	if r.Circuit != "" {
		gauge(boundOpen, truth(r.Circuit != "closed"))
		count(boundOpened, float64(r.Opened))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
