package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// RolloutList is a page of a function's rollouts.
type RolloutList = List[function.Rollout]

// AppliedRollout is what became of an applied rollout.
type AppliedRollout = Applied[function.Rollout]

// rollouts are the rollouts of the function in a request's path as a resource.
func (s *server) rollouts(r *http.Request) resource[function.Rollout] {
	c := s.o.Catalog
	of := r.PathValue("function")
	fill := func(x *function.Rollout) {
		if x.Spec.Function == "" {
			x.Spec.Function = of
		}
		function.RolloutDefaults(x)
	}
	return resource[function.Rollout]{
		one: "rollout", many: "rollouts", keys: []string{catalog.RolloutKeys, catalog.RolloutStatusKeys},
		own: func(k catalog.KeyChange) (catalog.KeyChange, bool) {
			name, ok := strings.CutPrefix(k.Name, of+"/")
			k.Name = name
			return k, ok
		},
		meta: func(x *function.Rollout) *function.Metadata { return &x.Metadata },
		list: func(ctx context.Context, ns string) ([]function.Rollout, store.Revision, error) {
			return c.Rollouts(ctx, catalog.Name{Namespace: ns, Name: of})
		},
		get: func(ctx context.Context, n catalog.Name) (function.Rollout, error) {
			return c.Rollout(ctx, catalog.Name{Namespace: n.Namespace, Name: of}, n.Name)
		},
		complete: fill,
		over:     func(x function.Rollout) bool { return x.Status.State.Ended() },
		check: func(x function.Rollout) error {
			if x.Spec.Function != "" && x.Spec.Function != of {
				return wrong("spec.function", "is %q and the path's function %q; a rollout does not change its function", x.Spec.Function, of)
			}
			fill(&x)
			return function.ValidateRollout(x)
		},
		put: func(ctx context.Context, x function.Rollout, v string) error {
			fill(&x)
			anew := r.Method == http.MethodPost
			if anew {
				v = "" // one that has ended is no obstacle
			}
			return c.StartRollout(ctx, x, v, anew, author(r))
		},
		drop: func(r *http.Request, x function.Rollout, v string) error {
			return c.DeleteRollout(r.Context(), owner(r), x.Metadata.Name, v)
		},
	}
}

// rolling makes handlers for the rollouts of the function in the path.
func (s *server) rolling(make func(*server, resource[function.Rollout]) handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return make(s, s.rollouts(r))(w, r)
	}
}

// steerRollout pauses, resumes, promotes or aborts a rollout.
func (s *server) steerRollout(w http.ResponseWriter, r *http.Request) error {
	res, verb := s.rollouts(r), r.PathValue("verb")
	if !slices.Contains(plan.RolloutVerbs(), verb) {
		return problem.New(http.StatusNotFound, fmt.Sprintf("cannot %s a rollout%s", verb, document.DidYouMean(verb, plan.RolloutVerbs())))
	}
	object, err := find(res, r)
	if err != nil {
		return err
	}
	err = s.o.Catalog.SteerRollout(r.Context(), owner(r), object.Metadata.Name, verb, author(r))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return conflict(res, store.ErrConflict, object.Metadata, object.Metadata.ResourceVersion, false)
	}
	if err != nil {
		return err
	}
	now, err := find(res, r)
	if err != nil {
		return err
	}
	return s.object(w, r, http.StatusOK, &now.Metadata, now)
}
