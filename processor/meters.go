package processor

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/processor/worker"
)

// meters are the processor's statistics, on a registry of their own.
type meters struct {
	registry *prometheus.Registry
	events   *prometheus.CounterVec
	ran      *prometheus.HistogramVec
	waited   *prometheus.HistogramVec
	bound    *prometheus.HistogramVec
	bounds   atomic.Pointer[map[boundKey]prometheus.Observer] // those of bound that there are
	start    *startMeter

	mu sync.Mutex
	of map[string]*triggerMeter // by trigger
}

// triggers are the meters of all triggers.
func (m *meters) triggers() []*triggerMeter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.of))
}

var buckets = []float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

func newMeters(p *Processor) *meters {
	constant := prometheus.Labels{"function": p.cfg.Function.Metadata.Name}
	m := &meters{
		registry: prometheus.NewRegistry(), start: p.start, of: map[string]*triggerMeter{},
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "myelin_events_total", ConstLabels: constant,
			Help: "Events given to the function, by outcome."}, []string{"trigger", "kind", "outcome"}),
		ran: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "myelin_event_duration_seconds", ConstLabels: constant, Buckets: buckets,
			Help: "Time from having a worker to the outcome; of one event in 8, and of all that waited."}, []string{"trigger", "kind"}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "myelin_event_wait_seconds", ConstLabels: constant, Buckets: buckets,
			Help: "Time events waited for a worker, of those that had to wait."}, []string{"trigger", "kind"}),
		bound: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "myelin_binding_duration_seconds", ConstLabels: constant, Buckets: buckets,
			Help: "Time of calls of data bindings, by outcome."}, []string{"binding", "class", "kind", "operation", "outcome"}),
	}
	m.registry.MustRegister(m.events, m.ran, m.waited, m.bound, poolCollector{p}, sourceCollector{p}, boundCollector{p}, startCollector{p.start},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// forTrigger resolves the labels once, so that an event costs no look-up.
func (m *meters) forTrigger(f *feed) worker.Meter {
	t := &triggerMeter{start: m.start, ran: m.ran.WithLabelValues(f.name, f.spec.Kind), waited: m.waited.WithLabelValues(f.name, f.spec.Kind)}
	for i, o := range outcomes {
		t.count[i] = m.events.WithLabelValues(f.name, f.spec.Kind, o)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of[f.name] = t
	return t
}

var outcomes = [...]string{"ok", "error", "timeout", "crash", "busy", "stopping"}

type triggerMeter struct {
	count       [len(outcomes)]prometheus.Counter
	ran, waited prometheus.Observer
	start       *startMeter
}

// Handled implements worker.Meter.
func (t *triggerMeter) Handled(waited, ran time.Duration, err error) {
	t.count[outcome(err)].Inc()
	if !t.start.answered.Load() {
		t.start.answer()
	}
	if ran > 0 {
		t.ran.Observe(ran.Seconds())
	}
	if waited > 0 {
		t.waited.Observe(waited.Seconds())
	}
}

func outcome(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, event.ErrTimeout):
		return 2
	case errors.Is(err, event.ErrCrashed):
		return 3
	case errors.Is(err, event.ErrBusy):
		return 4
	case errors.Is(err, event.ErrStopping):
		return 5
	}
	return 1
}

// poolCollector reads the pools when it is asked.
type poolCollector struct{ p *Processor }

var (
	workersDesc  = prometheus.NewDesc("myelin_workers", "Workers by state.", []string{"pool", "state"}, nil)
	waitingDesc  = prometheus.NewDesc("myelin_events_waiting", "Events that wait for a worker.", []string{"pool"}, nil)
	inFlightDesc = prometheus.NewDesc("myelin_events_in_flight", "Events in workers.", []string{"pool"}, nil)
	restartsDesc = prometheus.NewDesc("myelin_worker_restarts_total", "Workers replaced because they broke or were killed.", []string{"pool"}, nil)
	stuckDesc    = prometheus.NewDesc("myelin_functions_stuck", "Native functions past their timeout and still running.", []string{"pool"}, nil)
	startDesc    = prometheus.NewDesc("myelin_ready", "1 when the processor is ready.", nil, nil)
)

// Describe implements prometheus.Collector.
func (poolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{workersDesc, waitingDesc, inFlightDesc, restartsDesc, stuckDesc, startDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	for _, pool := range c.p.pools {
		s := pool.Stats()
		gauge(workersDesc, s.Busy, pool.name, "busy")
		gauge(workersDesc, s.Live-s.Busy, pool.name, "idle")
		gauge(workersDesc, s.Size-s.Live, pool.name, "down")
		gauge(waitingDesc, s.Waiting, pool.name)
		gauge(inFlightDesc, s.InFlight, pool.name)
		gauge(stuckDesc, s.Abandoned, pool.name)
		ch <- prometheus.MustNewConstMetric(restartsDesc, prometheus.CounterValue, float64(s.Restarts), pool.name)
	}
	ready := 0
	if c.p.ready.Load() {
		ready = 1
	}
	gauge(startDesc, ready)
}
