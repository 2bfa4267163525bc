// Package scale decides how many replicas a deployment shall have, from what
// was seen of its load. It is pure: it reads no clock, starts no goroutine and
// knows neither functions nor platforms.
package scale

import "time"

// Policy says what is aimed at. A target of 0 is none.
type Policy struct {
	Min, Max int
	// Target is how many events at once one replica is to have.
	Target float64
	// Backlog is how many events that wait at their source one replica is for.
	Backlog float64
	// CPU is how many cores one replica is to use.
	CPU float64
	// Stable is the time over which the load is averaged, Panic that over which
	// a burst is noticed.
	Stable, Panic time.Duration
	// CoolDown is how long fewer replicas must have been enough.
	CoolDown time.Duration
	// ZeroAfter is how long there must have been nothing to do before the last
	// replica goes, where Min is 0.
	ZeroAfter time.Duration
	// Schedule are times in which there are at least so many replicas.
	Schedule []Window
}

const (
	// drain is the time in which what waits for a worker is to be worked off.
	drain = 5 * time.Second
	// burst is how many times what there is must be needed for a panic.
	burst = 2
	// horizon is how far the growth of a backlog is looked ahead.
	horizon = 10 * time.Second
)

// Sample is what was seen at one look, and since the look before.
type Sample struct {
	At time.Time
	// Replicas that are wanted now.
	Replicas int
	// Running are the events in workers, at this moment.
	Running float64
	// Offered is how many events would be in workers if none had to wait:
	// arrivals per second times the seconds that one takes.
	Offered float64
	// Waiting are the events that wait for a worker, at this moment.
	Waiting float64
	// Each is how long one event takes in a worker; 0: not known.
	Each time.Duration
	// Events is how many came.
	Events int64
	// Backlog is how many events wait at their sources.
	Backlog int64
	// CPU is how many cores were in use.
	CPU float64
	// Blind says that nothing of this could be seen.
	Blind bool
}

func (s *Sample) active() bool {
	return s.Blind || s.Events > 0 || s.Running > 0 || s.Waiting > 0 || s.Backlog > 0
}

// History is what a decision needs to remember. The zero History remembers
// nothing.
type History struct {
	samples []Sample // of the stable window, oldest first
	needs   []need   // of the cool-down, oldest first
	panic   time.Time
	active  time.Time // when there was something to do last
}

type need struct {
	at time.Time
	n  int
}

// Decision is how many replicas there shall be, and why.
type Decision struct {
	Replicas int
	Why      string
}

// Wake notes that there is something to do, seen between two looks.
func (h *History) Wake(at time.Time) { h.active = at }

// Decide takes a sample, newer than all before, and decides.
func (h *History) Decide(p Policy, s Sample) Decision {
	if h.active.IsZero() && s.Replicas > 0 || s.active() {
		h.active = s.At
	}
	floor := p.floor(s.At)
	if s.Blind {
		return Decision{clamp(s.Replicas, floor, p.Max), "what it does is not known"}
	}
	h.remember(p, s)
	d := h.demand(p, s)
	if p.Min == 0 && floor == 0 {
		if idle := s.At.Sub(h.active); s.Replicas == 0 && !s.active() {
			return Decision{0, "nothing to do"}
		} else if idle >= p.ZeroAfter && s.Replicas > 0 {
			h.needs, h.panic = nil, time.Time{}
			return Decision{0, "nothing to do for " + idle.Round(time.Second).String()}
		}
	}
	d.Replicas = clamp(d.Replicas, max(1, floor), p.Max)
	return d
}

// remember keeps the sample, and forgets what is too old to matter.
func (h *History) remember(p Policy, s Sample) {
	h.samples = append(h.samples, s)
	old := 0
	for old < len(h.samples)-1 && s.At.Sub(h.samples[old].At) >= p.Stable {
		old++
	}
	h.samples = h.samples[old:]
}

// demand is how many replicas the load needs, with the panic and the cool-down
// of what came before.
func (h *History) demand(p Policy, s Sample) Decision {
	stable, soon := h.over(p, p.Stable), h.over(p, p.Panic)
	d := stable
	if soon.Replicas > s.Replicas && soon.Replicas >= burst*max(1, s.Replicas) {
		h.panic = s.At
	}
	if !h.panic.IsZero() && s.At.Sub(h.panic) < p.Stable {
		if soon.Replicas > d.Replicas {
			d = soon
		}
		if d.Replicas < s.Replicas {
			d = Decision{s.Replicas, "a burst is not long ago"}
		}
	}
	return h.cool(p, s, d)
}

// cool lets the number go down only to the most that was needed in the
// cool-down. What there was at the beginning counts as needed.
func (h *History) cool(p Policy, s Sample, d Decision) Decision {
	if len(h.needs) == 0 {
		h.needs = append(h.needs, need{s.At, s.Replicas})
	}
	h.needs = append(h.needs, need{s.At, d.Replicas})
	old, most := 0, 0
	for i, n := range h.needs {
		if s.At.Sub(n.at) >= p.CoolDown {
			old = i + 1
		} else {
			most = max(most, n.n)
		}
	}
	h.needs = h.needs[min(old, len(h.needs)-1):]
	if n := min(most, s.Replicas); n > d.Replicas {
		return Decision{n, "more were needed not long ago"}
	}
	return d
}

func clamp(n, least, most int) int { return min(max(n, least), max(most, least)) }
