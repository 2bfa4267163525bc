// Package reconcile makes what runs follow what is stored, deployment by
// deployment: the working copy of each function, and each version that somebody
// names. It is level-based: it is given a name, reads what shall be and what
// is, does what the plan says, and looks again; it never acts on what a change
// said. It knows contracts only: a store's catalog, a platform, artefacts.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// Artefacts finds built functions.
type Artefacts interface {
	// Artefact returns the artefact with a digest, or says that it was never
	// built or is gone.
	Artefact(ctx context.Context, digest string) (build.Artefact, error)
}

// Options of a reconciler.
type Options struct {
	Catalog   *catalog.Catalog
	Platform  platform.Platform
	Artefacts Artefacts
	// Route is called when what serves of a deployment has changed, before
	// the status says so. May be nil.
	Route func(ctx context.Context, d catalog.Deployment)
	// URL gives the address of a deployment through the gateway. May be nil.
	URL func(catalog.Deployment) string
	// Linger is how long a version runs on after the last of those that named
	// it left it, so that going back takes no time.
	Linger time.Duration
	// Scaler says how many replicas are wanted where their number follows the
	// load. nil: it never does.
	Scaler Scaler
	// Admit says why a function may not run what an artefact has, nil if it may. It is
	// asked each time that the artefact is about to be given to the platform. May be nil.
	Admit func(function.Config, build.Artefact) error
	// Secrets puts secrets where configurations refer to them. May be nil.
	Secrets Secrets
	Log     *slog.Logger
}

// Reconciler works until its context ends. Its life: New, Run once.
type Reconciler struct {
	o       Options
	queue   *queue
	sharing *sharing
}

// workers bounds how many functions are worked on at once. Most of them wait
// for a processor to get ready.
const workers = 32

// New returns a reconciler.
func New(o Options) *Reconciler {
	return &Reconciler{o: o, queue: newQueue(), sharing: newSharing(o.Platform)}
}

// Run reconciles every function that there is, and then each one about which
// something changes, until ctx is done.
func (r *Reconciler) Run(ctx context.Context) error {
	defer r.queue.close()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range workers {
		wg.Go(func() { r.work(ctx) })
	}
	defer r.sharing.queue.close()
	for range sharers {
		wg.Go(func() { r.shareOut(ctx) })
	}
	if n, ok := r.o.Platform.(platform.Notifier); ok {
		wg.Go(func() { r.listen(ctx, n.Changes()) })
	}
	if r.o.Secrets != nil {
		wg.Go(func() { r.followSecrets(ctx) })
	}
	for ctx.Err() == nil {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			r.o.Log.Error("follow the store", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// follow adds all deployments, then those that change, until the watch ends.
func (r *Reconciler) follow(ctx context.Context) error {
	all, rev, err := r.o.Catalog.Deployments(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		r.queue.add(d.String(), false)
		r.sharing.queue.add(d.Name.String(), false)
	}
	if err := r.addRunning(ctx, nil); err != nil {
		return err
	}
	for c := range r.o.Catalog.Watch(ctx, rev) {
		if err := r.changed(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// addRunning adds what runs, of one function or of all.
func (r *Reconciler) addRunning(ctx context.Context, of *catalog.Name) error {
	observed, err := r.o.Platform.Observe(ctx, "")
	if err != nil {
		return err
	}
	for _, o := range observed {
		if d, ok := catalog.ParseDeployment(o.Name); of == nil || ok && d.Name == *of {
			r.queue.add(o.Name, false)
		}
	}
	return nil
}

// changed adds what a change concerns. The statuses of functions and versions
// are this loop's own word.
func (r *Reconciler) changed(ctx context.Context, c catalog.Change) error {
	switch c.Kind {
	case catalog.Spec:
		r.queue.add(c.Name.String(), true)
	case catalog.VersionSpec: // it comes and goes, and never changes: what is under way is not called off
		r.queue.add(catalog.Deployment{Name: c.Name, Version: c.Version}.String(), false)
	case catalog.AliasSpec, catalog.AliasStatus, catalog.MappingOf:
		// Who was named may not be any more, and the other way round.
		r.sharing.queue.add(c.Name.String(), true)
		if c.Kind == catalog.MappingOf {
			r.queue.add(catalog.Deployment{Name: c.Name}.String(), false)
		}
		if err := r.addRunning(ctx, &c.Name); err != nil {
			return err
		}
		named, err := r.o.Catalog.Named(ctx, c.Name)
		if err != nil {
			return err
		}
		for v := range named {
			if v > 0 {
				r.queue.add(catalog.Deployment{Name: c.Name, Version: v}.String(), false)
			}
		}
	}
	return nil
}

func (r *Reconciler) listen(ctx context.Context, changes <-chan string) {
	for {
		select {
		case name := <-changes:
			r.queue.add(name, false)
		case <-ctx.Done():
			return
		}
	}
}

func (r *Reconciler) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-r.queue.ready:
			d, ok := catalog.ParseDeployment(name)
			var err error
			run := r.queue.begin(ctx, name)
			if ok {
				err = r.reconcile(run, d)
			}
			if err != nil && run.Err() == nil {
				r.o.Log.Warn("reconcile", "function", d.String(), "error", err)
			}
			r.queue.end(name, err != nil)
			if ok {
				r.sharing.queue.add(d.Name.String(), false)
			}
		}
	}
}

// reconcile does what is to be done about one deployment.
func (r *Reconciler) reconcile(ctx context.Context, d catalog.Deployment) error {
	have, err := r.have(ctx, d)
	if err != nil {
		return err
	}
	s, want, err := r.wanted(ctx, d, have)
	if err != nil {
		return err
	}
	r.scale(s, &want, have)
	for _, step := range plan.Diff(want, have) {
		if err := r.do(ctx, step, s, want); err != nil {
			return err
		}
	}
	return r.conclude(ctx, s, want)
}

func (r *Reconciler) have(ctx context.Context, d catalog.Deployment) (plan.Have, error) {
	o, err := r.observe(ctx, d)
	if err != nil || o.Name == "" {
		return plan.Have{}, err
	}
	h := plan.Have{Exists: true, Fingerprint: o.Fingerprint}
	for _, replica := range o.Replicas {
		if replica.State != "draining" {
			h.Replicas++
		}
	}
	return h, nil
}

func (r *Reconciler) observe(ctx context.Context, d catalog.Deployment) (platform.Observed, error) {
	all, err := r.o.Platform.Observe(ctx, d.String())
	if err != nil || len(all) == 0 {
		return platform.Observed{}, err
	}
	return all[0], nil
}

func (r *Reconciler) do(ctx context.Context, step plan.Step, s *subject, want plan.Want) error {
	switch step {
	case plan.Remove:
		if err := r.o.Platform.Remove(ctx, s.String()); err != nil {
			return err
		}
		r.route(ctx, s.Deployment)
	case plan.Apply:
		return r.apply(ctx, s, want)
	case plan.AwaitBuild: // conclude says so
	}
	return nil
}

func (r *Reconciler) route(ctx context.Context, d catalog.Deployment) {
	if r.o.Route != nil {
		r.o.Route(ctx, d)
	}
}

// apply makes the wanted version run. The first failure is told in the status,
// and the loop tries again.
func (r *Reconciler) apply(ctx context.Context, s *subject, want plan.Want) error {
	a, err := r.o.Artefacts.Artefact(ctx, want.Artefact)
	if err != nil {
		return r.failed(ctx, s, fmt.Errorf("find artefact %s: %w", want.Artefact, err))
	}
	if r.o.Admit != nil {
		if err := r.o.Admit(s.config, a); err != nil {
			return r.failed(ctx, s, err)
		}
	}
	if (s.was.State != function.Failed || s.was.Observed != s.revision) && !s.scaled {
		if err := r.say(ctx, s, function.Status{State: function.Configuring, Address: s.was.Address}); err != nil {
			return err
		}
	}
	address := plan.Address(s.config)
	if address == "" {
		address = s.was.Address
	}
	shares, err := r.sharing.begins(ctx, s)
	if err != nil {
		return err
	}
	err = r.o.Platform.Apply(ctx, platform.Deployment{
		Name: s.String(), Artefact: a, Config: s.config, Replicas: want.Replicas, Address: address, Fingerprint: want.Fingerprint, Shares: shares,
	})
	if err != nil {
		return r.failed(ctx, s, err)
	}
	r.route(ctx, s.Deployment)
	return nil
}

// failed tells why, unless the work was only stopped, and returns the reason.
func (r *Reconciler) failed(ctx context.Context, s *subject, cause error) error {
	if ctx.Err() != nil {
		return cause
	}
	st := function.Status{State: function.Failed, Message: cause.Error(), Address: s.was.Address}
	var start *platform.StartError
	if errors.As(cause, &start) {
		st.Logs = start.Log
	}
	if o, err := r.observe(ctx, s.Deployment); err == nil {
		st.Replicas = withoutLeaving(o.Replicas)
		if len(st.Replicas) > 0 {
			st.Message = "the new version failed and the former one still serves: " + st.Message
			st.Artefact = st.Replicas[0].Artefact
		}
	}
	err := r.say(ctx, s, st)
	r.route(ctx, s.Deployment)
	return errors.Join(cause, err)
}

func withoutLeaving(rs []function.Replica) []function.Replica {
	return slices.DeleteFunc(slices.Clone(rs), func(x function.Replica) bool { return x.State == "draining" })
}
