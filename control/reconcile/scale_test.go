package reconcile

import (
	"encoding/json"
	"testing"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// five wants five replicas of everything, or another number.
type five int

func (n five) Wanted(plan.ToScale) (int, *function.Scaling) {
	return int(n), &function.Scaling{Replicas: int(n)}
}
func (five) Forget(string) {}

// elastic scales by itself what names metrics.
type elastic struct{ platform.Platform }

func (elastic) Autoscales(c function.Config) bool { return len(c.Spec.CustomScalingMetricSpecs) > 0 }

// TestPlatformScales: where the platform says how many replicas there are, those that
// there are are wanted, but for none and the first.
func TestPlatformScales(t *testing.T) {
	for _, c := range []struct {
		metrics            string
		scaler, have, want int
		told               bool
	}{
		{"", 5, 3, 5, true}, {"[{}]", 5, 3, 3, false}, {"[{}]", 5, 0, 5, true}, {"[{}]", 0, 3, 0, true},
	} {
		r := &Reconciler{o: Options{Scaler: five(c.scaler), Platform: elastic{}}}
		s := &subject{}
		if c.metrics != "" {
			s.config.Spec.CustomScalingMetricSpecs = json.RawMessage(c.metrics)
		}
		want := plan.Want{Exists: true, Artefact: "a", Replicas: 1}
		r.scale(s, &want, plan.Have{Exists: true, Replicas: c.have})
		if want.Replicas != c.want || (s.scaling != nil) != c.told {
			t.Errorf("%+v: %d replicas, told %v", c, want.Replicas, s.scaling)
		}
	}
}
