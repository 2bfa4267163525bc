package plan

import (
	"time"

	"github.com/myelin-run/myelin/control/scale"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// What is aimed at where a function says nothing.
const (
	scaleWindow    = 30 * time.Second
	scalePanic     = 1500 * time.Millisecond
	scaleZeroAfter = 5 * time.Minute
	scaleBacklog   = 1000
	scaleCPU       = 75 // per cent
	scaleFull      = 0.7
	scaleTarget    = 100
)

// ToScale is a deployment of which somebody wants to know how many replicas it
// shall have.
type ToScale struct {
	Name        string
	Spec        function.Spec
	Fingerprint string
	// Fed are the triggers of which it takes something now.
	Fed     map[string]function.Trigger
	Running int  // replicas that do not drain
	Asleep  bool // its stored status is about this configuration and says so
}

// Scaling is how the number of a function's replicas follows its load; false:
// it does not. workers is how many events at once one replica takes, 0 if that
// is not known.
func Scaling(s function.Spec, workers int) (p scale.Policy, follows bool) {
	p.Min, p.Max, follows = s.Follows()
	if !follows {
		return p, false
	}
	var z function.Scale
	if s.Scale != nil {
		z = *s.Scale
	}
	p.Target, p.Backlog = z.Target, float64(z.Backlog)
	if p.Target == 0 && workers > 0 {
		p.Target = max(1, min(scaleTarget, scaleFull*float64(workers)))
	}
	if p.Backlog == 0 {
		p.Backlog = scaleBacklog
	}
	p.CPU = coresAimedAt(s)
	p.Stable, p.Panic = or(z.Window, scaleWindow), or(z.PanicWindow, scalePanic)
	p.CoolDown, p.ZeroAfter = or(z.CoolDown, scaleWindow), or(z.ZeroAfter, zeroAfter(s.ScaleToZero))
	for _, w := range z.Schedule {
		p.Schedule = append(p.Schedule, windowOf(w))
	}
	return p, true
}

func or(d quantity.Duration, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d.Std()
	}
	return otherwise
}

// coresAimedAt is targetCPU of the limit, or of one core if there is none.
func coresAimedAt(s function.Spec) float64 {
	limit, limited := s.Resources.Limits["cpu"]
	percent, cores := s.TargetCPU, 1.0
	if limited {
		cores = float64(limit.Milli()) / 1000
		if percent == 0 {
			percent = scaleCPU
		}
	}
	return cores * float64(percent) / 100
}

func zeroAfter(z *function.ScaleToZero) time.Duration {
	longest := time.Duration(0)
	if z != nil {
		for _, r := range z.ScaleResources {
			longest = max(longest, r.WindowSize.Std())
		}
	}
	if longest == 0 {
		return scaleZeroAfter
	}
	return longest
}

// windowOf reads what was checked when the function was stored.
func windowOf(w function.ScaleWindow) scale.Window {
	out := scale.Window{Min: w.MinReplicas, Zone: time.UTC}
	out.Days, _ = function.ParseDays(w.Days)
	out.From, _ = function.ParseClock(w.From)
	out.To, _ = function.ParseClock(w.To)
	if zone, err := time.LoadLocation(w.Timezone); err == nil {
		out.Zone = zone
	}
	return out
}
