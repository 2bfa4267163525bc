package reconcile

import (
	"context"
	"reflect"
	"time"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// conclude looks once more and stores what it sees as the status.
func (r *Reconciler) conclude(ctx context.Context, s *subject, want plan.Want) error {
	if !s.exists {
		err := r.o.Catalog.DropStatus(ctx, s.Deployment)
		r.route(ctx, s.Deployment)
		return err
	}
	if !want.Exists { // a version that nobody names
		err := r.say(ctx, s, function.Status{State: function.Stopped, Address: s.was.Address})
		r.route(ctx, s.Deployment)
		return err
	}
	o, err := r.observe(ctx, s.Deployment)
	if err != nil {
		return err
	}
	st := status(want, o)
	if st.Address == "" {
		st.Address = s.was.Address // kept for the next time it runs
	}
	r.route(ctx, s.Deployment)
	return r.say(ctx, s, st)
}

// status puts what is seen into words.
func status(want plan.Want, o platform.Observed) function.Status {
	s := function.Status{State: function.Ready, Message: o.Message, Address: o.Address, Replicas: withoutLeaving(o.Replicas)}
	if len(s.Replicas) > 0 {
		s.Artefact = s.Replicas[0].Artefact
	}
	switch {
	case want.Disabled:
		s.State = function.Disabled
		return s
	case want.Artefact == "":
		s.State = function.WaitingForBuild
		s.Message = "there is no artefact: build the function and set the annotation " + plan.ArtefactAnnotation + " to the artefact's digest"
		return s
	}
	if o.Asleep {
		s.State = function.Asleep
		return s
	}
	for _, x := range s.Replicas {
		if x.State != "ready" {
			s.State = function.Unhealthy
			s.Message = "replica " + x.Name + " is " + x.State + ": " + x.Message
		}
	}
	return s
}

// say stores a status if it says anything new.
func (r *Reconciler) say(ctx context.Context, s *subject, now function.Status) error {
	now.Observed = s.revision
	if r.o.URL != nil && now.State != function.Stopped {
		now.URL = r.o.URL(s.Deployment)
	}
	now.Changed, now.Scaling = s.was.Changed, s.scaling
	if same(now, s.was.Status) && s.left.Equal(s.was.Left) {
		return nil
	}
	now.Changed = time.Now().UTC().Round(time.Millisecond)
	var err error
	if s.Version == 0 {
		err = r.o.Catalog.SetStatus(ctx, s.Name, now)
	} else {
		err = r.o.Catalog.SetVersionStatus(ctx, s.Deployment, function.VersionStatus{Status: now, Left: s.left})
	}
	if err == nil {
		s.was.Status, s.was.Left = now, s.left
	}
	return err
}

// same compares what is said, not how it was stored.
func same(a, b function.Status) bool {
	for _, s := range []*function.Status{&a, &b} {
		s.Replicas = append([]function.Replica{}, s.Replicas...)
		for i := range s.Replicas {
			s.Replicas[i].Started = s.Replicas[i].Started.UTC().Round(time.Millisecond)
		}
		if len(s.Logs) == 0 {
			s.Logs = nil
		}
	}
	return reflect.DeepEqual(a, b)
}
