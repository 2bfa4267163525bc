package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/secret"
	"github.com/myelin-run/myelin/function"
)

// Secrets puts secrets where configurations refer to them.
type Secrets interface {
	Resolve(ctx context.Context, cfg function.Config) (function.Config, error)
	Watch(ctx context.Context) (<-chan secret.Change, error)
}

// plan says what s asks for, with the secrets in place that it refers to, and
// so another one when one of them was written anew. One that is not there is
// told as a deployment that failed; what runs goes on.
func (r *Reconciler) plan(ctx context.Context, s *subject) (plan.Want, error) {
	if r.o.Secrets == nil || s.config.Spec.Disable {
		return plan.For(s.config)
	}
	cfg, err := r.o.Secrets.Resolve(ctx, s.config)
	if err != nil {
		return plan.Want{}, r.failed(ctx, s, err)
	}
	s.config = cfg
	return plan.For(cfg)
}

// followSecrets adds the deployments that refer to a secret whenever it is
// written or deleted, until ctx is done.
func (r *Reconciler) followSecrets(ctx context.Context) {
	for ctx.Err() == nil {
		changes, err := r.o.Secrets.Watch(ctx)
		if err == nil {
			for c := range changes {
				if err = r.addReferring(ctx, c); err != nil {
					break
				}
			}
		}
		if ctx.Err() != nil {
			return
		}
		r.o.Log.Error("follow secrets", "error", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (r *Reconciler) addReferring(ctx context.Context, c secret.Change) error {
	all, _, err := r.o.Catalog.Deployments(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Namespace != c.Namespace {
			continue
		}
		cfg, ok := r.stored(ctx, d)
		if !ok || cfg.Metadata.Project() != c.Project {
			continue
		}
		s := &subject{Deployment: d}
		if err := r.feed(ctx, s, cfg); err != nil {
			return err
		}
		if slices.Contains(function.SecretNames(s.config), c.Name) {
			r.queue.add(d.String(), true)
		}
	}
	return nil
}

// stored is the configuration of a deployment; one that cannot be read is
// noticed when it is reconciled.
func (r *Reconciler) stored(ctx context.Context, d catalog.Deployment) (function.Config, bool) {
	if d.Version > 0 {
		v, err := r.o.Catalog.Version(ctx, d)
		return plan.Published(v.Config), err == nil
	}
	f, err := r.o.Catalog.Get(ctx, d.Name)
	return f.Config, err == nil
}
