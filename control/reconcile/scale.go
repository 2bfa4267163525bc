package reconcile

import (
	"maps"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// Scaler says how many replicas a deployment shall have.
type Scaler interface {
	// Wanted is asked about a deployment that is to run.
	Wanted(a plan.ToScale) (int, *function.Scaling)
	// Forget is called for one that is not.
	Forget(name string)
}

// Look has a deployment looked at soon, such as when another number of its
// replicas is wanted.
func (r *Reconciler) Look(name string) { r.queue.add(name, false) }

// scale puts the number of replicas into what is wanted.
func (r *Reconciler) scale(s *subject, want *plan.Want, have plan.Have) {
	if r.o.Scaler == nil {
		return
	}
	if !want.Exists || want.Disabled || want.Artefact == "" {
		r.o.Scaler.Forget(s.String())
		return
	}
	n, status := r.o.Scaler.Wanted(plan.ToScale{
		Name: s.String(), Spec: s.config.Spec, Fingerprint: want.Fingerprint, Running: have.Replicas, Fed: s.fed(),
		Asleep: s.was.State == function.Asleep && s.was.Observed == s.revision,
	})
	if status == nil {
		return
	}
	if own, ok := r.o.Platform.(platform.Autoscaler); ok && n > 0 && have.Replicas > 0 && own.Autoscales(s.config) {
		want.Replicas = have.Replicas // its matter
		return
	}
	want.Replicas, s.scaling = n, status
	s.scaled = have.Exists && have.Fingerprint == want.Fingerprint
}

// fed are the triggers of which a deployment takes something now.
func (s *subject) fed() map[string]function.Trigger {
	out, shares := maps.Clone(s.config.Spec.Triggers), s.feeds.Shares(s.Version)
	maps.DeleteFunc(out, func(name string, _ function.Trigger) bool {
		share, divided := shares[name]
		return divided && share.Part == 0
	})
	return out
}
