package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

const (
	sharers   = 16               // functions whose sources are divided at once
	shareTime = 10 * time.Second // for the triggers of one version to do as they are told, twice over
	stillTime = time.Second      // after which those that had not are looked at again
	glance    = time.Second
)

// sharing divides the sources of functions among their versions that run. It
// works on functions, not on deployments: what one version takes less another
// takes more.
type sharing struct {
	platform platform.Sharer // nil if the platform is none
	queue    *queue

	mu   sync.Mutex
	last map[catalog.Deployment]function.Shares // what each was told
}

func newSharing(p platform.Platform) *sharing {
	s := &sharing{queue: newQueue(), last: map[catalog.Deployment]function.Shares{}}
	s.platform, _ = p.(platform.Sharer)
	return s
}

func (s *sharing) known(d catalog.Deployment) (function.Shares, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	shares, ok := s.last[d]
	return shares, ok
}

// begins says with which shares processors of s that are started now begin:
// with those of the ones that run, or with what the plan says.
func (s *sharing) begins(ctx context.Context, sub *subject) (function.Shares, error) {
	if s.platform == nil {
		return nil, nil
	}
	return s.has(ctx, sub.Deployment, sub.feeds)
}

// has says what a deployment takes now; what nobody has said yet is as the plan
// says.
func (s *sharing) has(ctx context.Context, d catalog.Deployment, feeds plan.Feeds) (function.Shares, error) {
	if shares, ok := s.known(d); ok {
		return shares, nil
	}
	now, next, err := s.platform.Shares(ctx, d.String())
	if err != nil {
		return nil, err
	}
	if next != nil {
		return next, nil
	}
	shares := feeds.Shares(d.Version)
	for name := range feeds.Sources(d.Version) {
		if part, ok := now.Parts[name]; ok {
			shares[name] = function.Share{Part: part}
		}
	}
	return shares, nil
}

// tell tells one deployment, and remembers it.
func (s *sharing) tell(ctx context.Context, d catalog.Deployment, shares function.Shares) (platform.Shared, error) {
	wait := shareTime
	if last, ok := s.known(d); ok && reflect.DeepEqual(last, shares) {
		wait = glance // whether those that were late have come
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	out, err := s.platform.Share(ctx, d.String(), shares)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[d] = maps.Clone(shares)
	for name, share := range s.last[d] {
		s.last[d][name] = function.Share{Part: share.Part}
	}
	return out, err
}

func (s *sharing) forget(fn catalog.Name, running []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d := range s.last {
		if d.Name == fn && !slices.Contains(running, d.Version) {
			delete(s.last, d)
		}
	}
}

// shareOut takes functions off the queue until ctx is done.
func (r *Reconciler) shareOut(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-r.sharing.queue.ready:
			run := r.sharing.queue.begin(ctx, name)
			n, ok := catalog.ParseName(name)
			var err error
			if ok {
				err = r.share(run, n)
			}
			if err != nil && run.Err() == nil {
				r.o.Log.Warn("divide sources", "function", n.String(), "error", err)
			}
			r.sharing.queue.end(name, err != nil && ctx.Err() == nil)
		}
	}
}

// feeds reads what brings events to a function.
func (r *Reconciler) feeds(ctx context.Context, fn catalog.Name) (f plan.Feeds, err error) {
	f.Function = fn.Name
	working, err := r.o.Catalog.Get(ctx, fn)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return f, err
	}
	f.Triggers = working.Spec.Triggers
	if f.Mappings, err = r.o.Catalog.MappingsOf(ctx, fn); err != nil {
		return f, err
	}
	f.Aliases, _, err = r.o.Catalog.Aliases(ctx, fn)
	return f, err
}

// share divides the sources of one function, and says how its mappings are.
func (r *Reconciler) share(ctx context.Context, fn catalog.Name) error {
	feeds, err := r.feeds(ctx, fn)
	if err != nil {
		return err
	}
	running, err := r.running(ctx, fn)
	if err != nil {
		return err
	}
	pending := map[int]map[string]string{}
	if r.sharing.platform != nil {
		r.sharing.forget(fn, running)
		if pending, err = r.handOver(ctx, fn, feeds, running); err != nil {
			return err
		}
	}
	return r.tellMappings(ctx, fn, feeds, running, pending)
}

// running are the versions of a function whose processors are ready.
func (r *Reconciler) running(ctx context.Context, fn catalog.Name) (out []int, err error) {
	versions, err := r.o.Catalog.Ran(ctx, fn)
	if err != nil {
		return nil, err
	}
	for _, v := range append(versions, 0) {
		o, err := r.observe(ctx, catalog.Deployment{Name: fn, Version: v})
		if err != nil {
			return nil, err
		}
		if o.Fingerprint != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return out, nil
}

// handOver tells the versions their shares in the order that loses and doubles
// nothing. It returns what is still under way.
func (r *Reconciler) handOver(ctx context.Context, fn catalog.Name, feeds plan.Feeds, running []int) (map[int]map[string]string, error) {
	have, want, sources := map[int]function.Shares{}, map[int]function.Shares{}, map[string]function.Trigger{}
	var err error
	for _, v := range running {
		if have[v], err = r.sharing.has(ctx, catalog.Deployment{Name: fn, Version: v}, feeds); err != nil {
			return nil, err
		}
		want[v] = feeds.Shares(v)
		maps.Copy(sources, feeds.Sources(v))
	}
	until := map[string]time.Time{}
	between := plan.Handover(have, want, sources)
	late, err := r.tellAll(ctx, fn, running, between, until)
	if err != nil {
		return nil, err
	}
	plan.Hold(have, between, want, late)
	for _, v := range running {
		if err := r.beginAt(ctx, fn, running, between[v], want[v], sources, until); err != nil {
			return nil, err
		}
	}
	pending, err := r.tellAll(ctx, fn, running, want, until)
	if len(pending) > 0 {
		r.sharing.queue.addAfter(fn.String(), stillTime)
	}
	return pending, err
}

// tellAll tells versions their shares all at once, and notes until when those
// that stopped took events.
func (r *Reconciler) tellAll(ctx context.Context, fn catalog.Name, running []int, shares map[int]function.Shares, until map[string]time.Time) (map[int]map[string]string, error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	pending := map[int]map[string]string{}
	for _, v := range running {
		wg.Go(func() {
			out, err := r.sharing.tell(ctx, catalog.Deployment{Name: fn, Version: v}, shares[v])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			}
			if len(out.Pending) > 0 {
				pending[v] = out.Pending
			}
			for name, at := range out.Until {
				if at.After(until[name]) {
					until[name] = at
				}
			}
		})
	}
	wg.Wait()
	return pending, errors.Join(errs...)
}

// beginAt says where a version begins that takes over a source which time alone
// drives: behind the last event that any of them took. That may have been its
// own, if another one was to take over and never began.
func (r *Reconciler) beginAt(ctx context.Context, fn catalog.Name, running []int, between, want function.Shares, sources map[string]function.Trigger, until map[string]time.Time) error {
	for name, t := range sources {
		if plan.Divides(t) || between.Of(name).Part > 0 || want.Of(name).Part == 0 {
			continue
		}
		at := until[name]
		for _, other := range running {
			out, _, err := r.sharing.platform.Shares(ctx, catalog.Deployment{Name: fn, Version: other}.String())
			if err != nil {
				return err
			}
			if out.Until[name].After(at) {
				at = out.Until[name]
			}
		}
		if !at.IsZero() {
			want[name] = function.Share{Part: 1, From: at}
		}
	}
	return nil
}

// tellMappings stores how the mappings of a function are.
func (r *Reconciler) tellMappings(ctx context.Context, fn catalog.Name, feeds plan.Feeds, running []int, pending map[int]map[string]string) error {
	_, err := r.o.Catalog.Get(ctx, fn)
	gone := errors.Is(err, store.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	var errs []error
	for _, m := range feeds.Mappings {
		s := feeds.Status(m, running, pending)
		if gone {
			s.State, s.Message, s.Targets = plan.MappingWaiting, fmt.Sprintf("there is no function %q", fn.Name), nil
		}
		s.Changed = m.Status.Changed
		if plan.SameStatus(s, m.Status) {
			continue
		}
		if s.State != m.Status.State {
			s.Changed = time.Now().UTC().Round(time.Millisecond)
		}
		errs = append(errs, r.o.Catalog.SetMappingStatus(ctx, catalog.Name{Namespace: fn.Namespace, Name: m.Metadata.Name}, s))
	}
	return errors.Join(errs...)
}
