package processor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/myelin-run/myelin/processor/parked"
	"github.com/myelin-run/myelin/runtime"
)

// The phases of a start, in order; "answer" is up to the outcome of the first
// event.
const (
	phaseDecide   = "decide"   // what it is for was seen; a processor is decided on
	phasePrepare  = "prepare"  // its directories and its configuration are written
	phaseExec     = "exec"     // the process is made, or the parked one has heard
	phaseConfig   = "config"   // the configuration is read, triggers and runtime are built
	phaseBindings = "bindings" // data bindings are opened
	phaseWorker   = "worker"   // the runtime starts the worker
	phaseImport   = "import"   // the function is loaded, and its init hook runs
	phaseAnswer   = "answer"   // triggers open, the first event arrives and is done
)

// The ways of a start.
const (
	coldStart = "cold" // a new process
	warmStart = "warm" // one that was parked
)

// Start is what a start took, phase by phase in seconds.
type Start struct {
	Way    string             `json:"way"`
	At     time.Time          `json:"at"` // when what it was for was seen
	Total  float64            `json:"total"`
	Phases map[string]float64 `json:"phases"`
}

// startMeter takes the times of a start that has a cause: not those of a
// processor that is started by hand or again after a crash.
type startMeter struct {
	answered atomic.Bool // or nobody wants to know
	mu       sync.Mutex
	at       time.Time // the end of the last phase
	start    Start
}

func newStartMeter() *startMeter {
	m := &startMeter{}
	m.answered.Store(true)
	return m
}

// begin is called once, when the program runs, or has been told to serve.
func (m *startMeter) begin(way string, t parked.Times, runs time.Time) {
	m.mu.Lock()
	m.start, m.at = Start{Way: way, At: t.Seen, Phases: map[string]float64{}}, t.Seen
	m.mu.Unlock()
	m.answered.Store(false)
	m.ends(phaseDecide, t.Decided)
	m.ends(phasePrepare, t.Told)
	m.ends(phaseExec, runs)
}

// ends notes the end of a phase.
func (m *startMeter) ends(phase string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end(phase, at)
}

// end is ends for who holds mu.
func (m *startMeter) end(phase string, at time.Time) {
	if m.answered.Load() {
		return
	}
	m.start.Phases[phase] = max(0, at.Sub(m.at).Seconds())
	m.at = at
}

// opened ends the phase in which workers were opened, of which the function's
// own code took some.
func (m *startMeter) opened(own time.Duration) {
	now := time.Now()
	m.ends(phaseWorker, now.Add(-own))
	m.ends(phaseImport, now)
}

// answer is called with the first outcome, and possibly again.
func (m *startMeter) answer() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answered.Load() {
		return
	}
	now := time.Now()
	m.end(phaseAnswer, now)
	m.start.Total = now.Sub(m.start.At).Seconds()
	m.answered.Store(true)
}

// report is nil before the first answer.
func (m *startMeter) report() *Start {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.answered.Load() || m.start.Way == "" {
		return nil
	}
	s := m.start
	return &s
}

// Started tells when and how the process was started, between New and Run: runs
// is when its program began.
func (p *Processor) Started(t parked.Times, runs time.Time) {
	p.start.begin(coldStart, t, runs)
	p.start.ends(phaseConfig, time.Now())
}

// Warm readies what can be without loading the function, for a processor that is
// parked between New and Run. What does not succeed is done when it runs.
func (p *Processor) Warm(ctx context.Context) {
	for _, pool := range p.pools {
		if err := pool.Warm(ctx); err != nil {
			p.log.Debug("ready a worker ahead", "pool", pool.name, "error", err)
		}
	}
}

// Unpark is called when a parked processor is to serve, before Run.
func (p *Processor) Unpark(t parked.Times) {
	p.started = time.Now()
	p.start.begin(warmStart, t, p.started)
}

// Discard ends what Warm began, of a processor that does not run.
func (p *Processor) Discard() error {
	if w, ok := p.rt.(runtime.Warmer); ok {
		w.Cool()
	}
	return p.close()
}

// loading is how long the function's own code took to load.
func (p *Processor) loading() time.Duration {
	if l, ok := p.rt.(runtime.Loading); ok {
		return l.Loading()
	}
	return 0
}

var startPhaseDesc = prometheus.NewDesc("myelin_start_phase_seconds", "What the start of this processor took up to its first answer, by phase.", []string{"way", "phase"}, nil)

// startCollector tells of the start once there was an answer.
type startCollector struct{ m *startMeter }

// Describe implements prometheus.Collector.
func (startCollector) Describe(ch chan<- *prometheus.Desc) { ch <- startPhaseDesc }

// Collect implements prometheus.Collector.
func (c startCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.m.report()
	if s == nil {
		return
	}
	for phase, took := range s.Phases {
		ch <- prometheus.MustNewConstMetric(startPhaseDesc, prometheus.GaugeValue, took, s.Way, phase)
	}
}
