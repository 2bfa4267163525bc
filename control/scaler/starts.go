package scaler

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/function"
)

// start is what a processor says that its start took, once it has answered.
type start struct {
	Way    string             `json:"way"`
	At     time.Time          `json:"at"`
	Total  float64            `json:"total"`
	Phases map[string]float64 `json:"phases"`
}

// knownPhases bound what a processor, which may be the function's to forge, can
// have counted.
var knownPhases = []string{"decide", "prepare", "exec", "config", "bindings", "worker", "import", "answer"}

// StartBuckets are the upper bounds of the histograms of starts, in seconds.
var StartBuckets = [...]float64{.0005, .001, .0025, .005, .01, .015, .02, .03, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// Starts is a histogram of how long a phase of starts took.
type Starts struct {
	Runtime, Way, Phase string                        // phase "total": the whole start
	Buckets             [len(StartBuckets) + 1]uint64 // each for itself, the last for what is longer
	Sum                 float64
}

// Count is how many starts there were.
func (s *Starts) Count() (n uint64) {
	for _, b := range s.Buckets {
		n += b
	}
	return n
}

type startKey struct{ runtime, way, phase string }

type startTable map[startKey]*Starts

func (t startTable) add(k startKey, took float64) {
	s := t[k]
	if s == nil {
		s = &Starts{Runtime: k.runtime, Way: k.way, Phase: k.phase}
		t[k] = s
	}
	i := 0
	for i < len(StartBuckets) && took > StartBuckets[i] {
		i++
	}
	s.Buckets[i]++
	s.Sum += took
}

// note counts the starts that processors tell of for the first time. The caller
// holds mu.
func (s *Scaler) note(f *follow, loads []load) {
	for _, l := range loads {
		who := process{l.PID, l.Started.UnixNano()}
		if l.Start == nil || f.noted[who] || !l.Start.sound() {
			continue
		}
		if f.noted == nil {
			f.noted = map[process]bool{}
		}
		f.noted[who] = true
		f.start = &function.ScaleStart{At: l.Start.At.UTC().Round(time.Millisecond), Way: l.Start.Way, Total: l.Start.Total, Phases: l.Start.Phases}
		if s.o.Changed != nil {
			s.o.Changed(f.name) // its status says so
		}
		kind := runtimeOf(f.spec)
		s.starts.add(startKey{kind, l.Start.Way, "total"}, l.Start.Total)
		for phase, took := range l.Start.Phases {
			s.starts.add(startKey{kind, l.Start.Way, phase}, took)
		}
	}
	maps.DeleteFunc(f.noted, func(who process, _ bool) bool {
		return !slices.ContainsFunc(loads, func(l load) bool { return who == process{l.PID, l.Started.UnixNano()} })
	})
}

func runtimeOf(spec function.Spec) string {
	kind, _, _ := strings.Cut(spec.Runtime, ":")
	if kind == "go" {
		return "golang"
	}
	return kind
}

func (s *start) sound() bool {
	fine := func(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
	if s.Way != "cold" && s.Way != "warm" || !fine(s.Total) {
		return false
	}
	for phase, took := range s.Phases {
		if !slices.Contains(knownPhases, phase) || !fine(took) {
			return false
		}
	}
	return true
}

// Starts returns what starts took since the scaler runs, in order.
func (s *Scaler) Starts() []Starts {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Starts
	for _, h := range s.starts {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b Starts) int {
		return strings.Compare(a.Runtime+" "+a.Way+" "+a.Phase, b.Runtime+" "+b.Way+" "+b.Phase)
	})
	return out
}
