package history

import (
	"maps"
	"slices"

	dto "github.com/prometheus/client_model/go"
)

// Start is what the start of a processor took up to its first answer.
type Start struct {
	// cold for a new process, warm for a parked one.
	Way string `json:"way"`
	// In seconds.
	Total float64 `json:"total"`
	// Of its phases, one after another, in seconds.
	Phases map[string]float64 `json:"phases"`
}

// mostStarts are told of in one point; the rest are counted.
const mostStarts = 20

// phases bound what a processor, which may be the function's to forge, can tell.
var phases = []string{"decide", "prepare", "exec", "config", "bindings", "worker", "import", "answer"}

// startOf is what a processor says of its start; nil before its first answer.
func startOf(f *dto.MetricFamily) *Start {
	s := &Start{Phases: map[string]float64{}}
	for _, m := range f.GetMetric() {
		way, phase, took := label(m, "way"), label(m, "phase"), sound(m.GetGauge().GetValue())
		if way != "cold" && way != "warm" || !slices.Contains(phases, phase) {
			continue
		}
		s.Way, s.Phases[phase] = way, round(took)
	}
	if s.Way == "" {
		return nil
	}
	for _, phase := range slices.Sorted(maps.Keys(s.Phases)) {
		s.Total += s.Phases[phase]
	}
	s.Total = round(s.Total)
	return s
}

// started adds a start to a point.
func (p *Point) started(s *Start) {
	p.Started++
	if len(p.Starts) < mostStarts {
		p.Starts = append(p.Starts, *s)
	}
}
