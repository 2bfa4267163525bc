package reconcile

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// subject is a deployment that is worked on, as it was when that began.
type subject struct {
	catalog.Deployment
	exists   bool // it is stored
	config   function.Config
	revision int64 // of what is stored, 0 for a version, which never changes
	was      function.VersionStatus
	feeds    plan.Feeds
	scaling  *function.Scaling
	scaled   bool      // what runs is as it shall be, but for how many
	left     time.Time // when a version that runs was left by all that named it
}

// wanted reads what shall be.
func (r *Reconciler) wanted(ctx context.Context, d catalog.Deployment, have plan.Have) (*subject, plan.Want, error) {
	if d.Version > 0 {
		return r.wantedVersion(ctx, d, have)
	}
	s := &subject{Deployment: d}
	f, err := r.o.Catalog.Get(ctx, d.Name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s, plan.Want{}, r.o.Catalog.Sweep(ctx, d.Name)
	case err != nil:
		return s, plan.Want{}, err
	}
	s.exists, s.was.Status = true, f.Status
	s.revision, _ = strconv.ParseInt(f.Metadata.ResourceVersion, 10, 64) // the catalog wrote it
	if err := r.feed(ctx, s, f.Config); err != nil {
		return s, plan.Want{}, err
	}
	want, err := r.plan(ctx, s)
	return s, want, err
}

// feed makes the configuration that s is to run of cfg, with what brings it
// events.
func (r *Reconciler) feed(ctx context.Context, s *subject, cfg function.Config) (err error) {
	s.feeds, err = r.feeds(ctx, s.Name)
	s.config = s.feeds.Fed(cfg, s.Version)
	return err
}

// wantedVersion wants a version that is named by other than a disabled mapping, and one that runs until it has
// lingered.
func (r *Reconciler) wantedVersion(ctx context.Context, d catalog.Deployment, have plan.Have) (*subject, plan.Want, error) {
	s := &subject{Deployment: d}
	v, err := r.o.Catalog.Version(ctx, d)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s, plan.Want{}, nil
	case err != nil:
		return s, plan.Want{}, err
	}
	s.exists, s.was = true, v.Status
	if err := r.feed(ctx, s, plan.Published(v.Config)); err != nil {
		return s, plan.Want{}, err
	}
	used, err := r.o.Catalog.Used(ctx, d.Name)
	if err != nil {
		return s, plan.Want{}, err
	}
	if len(used[d.Version]) == 0 {
		if !have.Exists || !r.lingers(s) {
			return s, plan.Want{}, nil
		}
	}
	want, err := r.plan(ctx, s)
	want.Disabled = false // whoever names a version wants it to run
	return s, want, err
}

// lingers notes when a version was left, has it looked at again in time, and
// says whether it is to run still.
func (r *Reconciler) lingers(s *subject) bool {
	s.left = s.was.Left
	if s.left.IsZero() {
		s.left = time.Now().UTC().Round(time.Millisecond)
	}
	rest := r.o.Linger - time.Since(s.left)
	if rest <= 0 {
		s.left = time.Time{}
		return false
	}
	r.queue.addAfter(s.String(), rest)
	return true
}
