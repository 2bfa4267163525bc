package scale

import (
	"fmt"
	"math"
	"time"
)

// over is how many replicas the load of the last span needs, and which of its
// measures says so.
func (h *History) over(p Policy, span time.Duration) Decision {
	last := h.samples[len(h.samples)-1]
	var running, offered, cpu, n float64
	for i := len(h.samples) - 1; i >= 0 && last.At.Sub(h.samples[i].At) < span; i-- {
		s := &h.samples[i]
		running, offered, cpu, n = running+s.Running, offered+s.Offered, cpu+s.CPU, n+1
	}
	n = max(n, 1)
	busy := max(running, offered)/n + late(last)
	best := Decision{0, "nothing to do"}
	say := func(have, each float64, what string) {
		if each <= 0 {
			return
		}
		if need := int(math.Ceil(have/each - 1e-9)); need > best.Replicas {
			best = Decision{need, fmt.Sprintf("%.1f %s, %.3g for each replica", have, what, each)}
		}
	}
	say(busy, p.Target, "events at once")
	say(h.backlog(span), p.Backlog, "events wait at their source")
	say(cpu/n, p.CPU, "cores in use")
	return best
}

// late is how many workers would work off what waits for one in time. If it is
// not known how long an event takes, each that waits needs one.
func late(s Sample) float64 {
	if s.Each <= 0 {
		return s.Waiting
	}
	return min(s.Waiting, s.Waiting*s.Each.Seconds()/drain.Seconds())
}

// backlog is what will wait at the sources soon, if it goes on growing as in
// the last span.
func (h *History) backlog(span time.Duration) float64 {
	last := h.samples[len(h.samples)-1]
	first := last
	for i := len(h.samples) - 1; i >= 0 && last.At.Sub(h.samples[i].At) <= span; i-- {
		first = h.samples[i]
	}
	have := float64(last.Backlog)
	if took := last.At.Sub(first.At).Seconds(); took > 0 {
		have += max(0, float64(last.Backlog-first.Backlog)/took*horizon.Seconds())
	}
	return have
}
