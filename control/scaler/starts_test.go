package scaler

import (
	"math"
	"testing"
	"time"
)

func TestStartsAreCountedOnce(t *testing.T) {
	told := 0
	s := New(Options{Changed: func(string) { told++ }})
	f := &follow{name: "f"}
	f.spec.Runtime = "go"
	at := time.Unix(1, 0)
	l := load{PID: 7, Started: at, Start: &start{Way: "warm", At: at, Total: 0.012, Phases: map[string]float64{"exec": 0.002, "answer": 0.01}}}
	quiet := load{PID: 8, Started: at}
	for range 3 {
		s.note(f, []load{l, quiet})
	}
	if told != 1 || f.start == nil || f.start.Way != "warm" || f.start.Total != 0.012 {
		t.Errorf("told %d times of %+v", told, f.start)
	}
	l.Started = at.Add(time.Second) // another process
	s.note(f, []load{l})
	counted := s.Starts()
	if len(counted) != 3 {
		t.Fatalf("counted %+v", counted)
	}
	total := counted[2]
	if total.Runtime != "golang" || total.Phase != "total" || total.Count() != 2 || total.Sum != 0.024 || total.Buckets[5] != 2 {
		t.Errorf("counted %+v", total)
	}
	if len(f.noted) != 1 {
		t.Errorf("remembers %v", f.noted)
	}
}

// What a processor says is the function's to forge.
func TestForgedStartsAreNotCounted(t *testing.T) {
	s := New(Options{})
	f := &follow{name: "f"}
	for i, st := range []start{
		{Way: "hot", Total: 1},
		{Way: "cold", Total: -1},
		{Way: "cold", Total: math.Inf(1)},
		{Way: "cold", Total: math.NaN()},
		{Way: "cold", Total: 1, Phases: map[string]float64{"a phase of its own": 1}},
		{Way: "warm", Total: 1, Phases: map[string]float64{"exec": -1}},
	} {
		s.note(f, []load{{PID: i + 1, Start: &st}})
	}
	if got := s.Starts(); len(got) > 0 || f.start != nil {
		t.Errorf("counted %+v, %+v", got, f.start)
	}
}
