package control

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// routes keeps the table of routes as store and platform say, object by object:
// what changes is looked at anew, and nothing else. An alias that was moved
// changes in the table only when all that it names serves.
type routes struct {
	catalog  *catalog.Catalog
	platform platform.Platform
	log      *slog.Logger
	changed  chan struct{} // the table is different now

	turn sync.Mutex // held while something is looked at and noted

	tried chan struct{} // closed when everything was to be looked at once

	mu          sync.Mutex
	whole       bool  // everything was looked at
	seq         int64 // grows with every change
	deployments map[catalog.Deployment]route.Deployment
	aliases     map[aliasKey]*aliasEntry
	waiters     map[aliasKey]bool            // those of them that wait for something
	explicit    map[catalog.Name]route.Route // of mappings of kind http, by their names
	unsaid      map[aliasKey]bool            // aliases whose status may be another now

	id     string // of this table among those of all control planes
	told   int64  // the seq that all gateways know; 0: none
	stale  stale  // what changed since then
	called stale  // what is being told
}

type aliasKey struct {
	catalog.Name
	alias string
}

// aliasEntry is an alias as it was written, and what of it is in effect.
type aliasEntry struct {
	alias     function.Alias
	effective function.AliasSpec   // what the table has
	waiting   []string             // what keeps the spec from being in effect
	said      function.AliasStatus // what the store has
}

func newRoutes(c *catalog.Catalog, log *slog.Logger) *routes {
	return &routes{
		catalog: c, log: log, changed: make(chan struct{}, 1), tried: make(chan struct{}), unsaid: map[aliasKey]bool{},
		waiters: map[aliasKey]bool{}, id: rand.Text(), stale: newStale(),
		deployments: map[catalog.Deployment]route.Deployment{}, aliases: map[aliasKey]*aliasEntry{}, explicit: map[catalog.Name]route.Route{},
	}
}

func (r *routes) loaded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.whole
}

func (r *routes) sequence() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq
}

// await waits until everything was looked at, or could not be.
func (r *routes) await(ctx context.Context) {
	select {
	case <-r.tried:
	case <-ctx.Done():
	}
}

// run follows the store until ctx is done.
func (r *routes) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := r.follow(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("follow the store for routes", "error", err)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

func (r *routes) follow(ctx context.Context) error {
	rev, err := r.load(ctx)
	select {
	case <-r.tried:
	default:
		close(r.tried)
	}
	if err != nil {
		return err
	}
	for c := range r.catalog.Watch(ctx, rev) {
		switch c.Kind {
		case catalog.Spec, catalog.Status, catalog.VersionSpec, catalog.VersionStatus:
			err = r.refresh(ctx, catalog.Deployment{Name: c.Name, Version: c.Version})
		case catalog.AliasSpec:
			err = r.refreshAlias(ctx, c.Name, c.Alias)
		case catalog.MappingSpec:
			err = r.refreshMapping(ctx, c.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// load looks at everything.
func (r *routes) load(ctx context.Context) (store.Revision, error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	functions, rev, err := r.catalog.List(ctx, "")
	if err != nil {
		return 0, err
	}
	observed, err := r.platform.Observe(ctx, "")
	if err != nil {
		return 0, err
	}
	aliases, _, err := r.catalog.Aliases(ctx, catalog.Name{})
	if err != nil {
		return 0, err
	}
	mappings, _, err := r.catalog.Mappings(ctx, "")
	if err != nil {
		return 0, err
	}
	by := map[string]platform.Observed{}
	for _, o := range observed {
		by[o.Name] = o
	}
	versions, err := r.led(ctx, aliases)
	if err != nil {
		return 0, err
	}
	for _, o := range observed {
		if d, ok := catalog.ParseDeployment(o.Name); ok && d.Version > 0 {
			if _, led := versions[d]; !led {
				versions[d] = function.Status{} // it runs, whoever leads to it
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.deployments)
	for _, f := range functions {
		d := catalog.Deployment{Name: catalog.Name{Namespace: f.Metadata.Namespace, Name: f.Metadata.Name}}
		r.deployments[d] = deploymentOf(d, f.Spec.Disable, f.Status, by[d.String()], true)
	}
	for d, s := range versions {
		o, seen := by[d.String()]
		if now := deploymentOf(d, false, s, o, true); seen || now.State != route.Starting {
			r.deployments[d] = now
		}
	}
	clear(r.explicit)
	for _, m := range mappings {
		r.noteMapping(m)
	}
	gone := maps.Clone(r.aliases)
	for _, a := range aliases {
		n := catalog.Name{Namespace: a.Metadata.Namespace, Name: a.Spec.Function}
		delete(gone, aliasKey{n, a.Metadata.Name})
		r.note(n, a)
	}
	for key := range gone {
		r.dropAlias(key)
	}
	r.whole, r.told = true, 0
	r.bump()
	return rev, nil
}

// led are the versions that aliases have led to, with what was last said of them.
func (r *routes) led(ctx context.Context, aliases []function.Alias) (map[catalog.Deployment]function.Status, error) {
	out := map[catalog.Deployment]function.Status{}
	for _, a := range aliases {
		if a.Status.Effective == nil {
			continue
		}
		for _, v := range a.Status.Effective.Names() {
			d := catalog.Deployment{Name: catalog.Name{Namespace: a.Metadata.Namespace, Name: a.Spec.Function}, Version: v}
			found, err := r.catalog.Version(ctx, d)
			switch {
			case err == nil:
				out[d] = found.Status.Status
			case !errors.Is(err, store.ErrNotFound):
				return nil, err
			}
		}
	}
	return out, nil
}

// bump tells that the table is different. The caller holds mu.
func (r *routes) bump() {
	r.seq++
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// refresh looks at a deployment, and at the aliases that may wait for it.
func (r *routes) refresh(ctx context.Context, d catalog.Deployment) error {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	served := d.Version == 0 || r.deployments[d].State == route.Asleep
	r.mu.Unlock()
	now, there, err := r.see(ctx, d, served)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was, had := r.deployments[d]
	if was == now && had == there {
		return nil
	}
	if there {
		r.deployments[d] = now
	} else {
		delete(r.deployments, d)
	}
	r.stale.deployments[d] = true
	r.bump()
	for key := range r.waiters {
		if e := r.aliases[key]; key.Name == d.Name {
			r.note(key.Name, e.alias)
		}
	}
	return nil
}

// see says how a deployment is, and whether the gateway is to know it: every
// function, and every version that runs or is to.
func (r *routes) see(ctx context.Context, d catalog.Deployment, served bool) (route.Deployment, bool, error) {
	all, err := r.platform.Observe(ctx, d.String())
	if err != nil {
		return route.Deployment{}, false, err
	}
	var o platform.Observed
	if len(all) > 0 {
		o = all[0]
	}
	if d.Version > 0 {
		v, err := r.catalog.Version(ctx, d)
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		running := o.Name != "" || v.Status.State != "" && v.Status.State != function.Stopped
		return deploymentOf(d, false, v.Status.Status, o, served), running, err
	}
	f, err := r.catalog.Get(ctx, d.Name)
	if errors.Is(err, store.ErrNotFound) {
		return route.Deployment{}, false, nil
	}
	return deploymentOf(d, f.Spec.Disable, f.Status, o, served), true, err
}

// deploymentOf says how a deployment is by its status and by what the platform
// sees; served says that requests were led to it before.
func deploymentOf(d catalog.Deployment, disabled bool, s function.Status, o platform.Observed, served bool) route.Deployment {
	r := route.Deployment{Function: d.Name.Name, Namespace: d.Namespace, Version: d.Label(), Address: o.Address, Generation: o.Generation, State: route.Down}
	for _, x := range o.Replicas {
		if x.State == "draining" {
			continue
		}
		r.Replicas++
		if x.State != "backoff" {
			r.State = route.Serving
		} else {
			r.Message = x.Message
		}
	}
	switch {
	case disabled:
		r.State, r.Message = route.Down, "it is disabled"
	case o.Address == "" && s.State == function.Failed:
		r.State, r.Message = route.Down, s.Message
	case o.Asleep:
		r.State, r.Replicas = route.Asleep, 0
	case o.Fingerprint == "" && s.Address != "" && returns(s.State, served):
		// Its socket is opened again soon, and who comes before waits.
		r.State, r.Replicas, r.Address = route.Asleep, 0, s.Address
	case o.Fingerprint == "":
		r.State = route.Starting
	}
	return r
}

// returns says of what the platform does not know whether it answered under a
// former control plane, and so is about to be started by this one.
func returns(s function.State, served bool) bool {
	switch s {
	case function.Asleep, function.Ready, function.Unhealthy:
		return true
	case function.Configuring:
		return served
	}
	return false
}

// refreshAlias looks at an alias.
func (r *routes) refreshAlias(ctx context.Context, n catalog.Name, name string) error {
	r.turn.Lock()
	defer r.turn.Unlock()
	a, err := r.catalog.Alias(ctx, n, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.dropAlias(aliasKey{n, name})
	} else {
		r.note(n, a)
	}
	r.bump()
	return nil
}

// dropAlias forgets an alias. The caller holds mu.
func (r *routes) dropAlias(key aliasKey) {
	delete(r.aliases, key)
	delete(r.waiters, key)
	r.stale.aliases[key] = true
}

// refreshMapping looks at a mapping.
func (r *routes) refreshMapping(ctx context.Context, n catalog.Name) error {
	r.turn.Lock()
	defer r.turn.Unlock()
	m, err := r.catalog.Mapping(ctx, n)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was, had := r.explicit[n]
	delete(r.explicit, n)
	if err == nil {
		r.noteMapping(m)
	}
	if now, has := r.explicit[n]; had != has || !reflect.DeepEqual(was, now) {
		r.stale.routes[n] = true
		r.bump()
	}
	return nil
}

// noteMapping notes the route of a mapping, if it is one and enabled. The
// caller holds mu.
func (r *routes) noteMapping(m function.Mapping) {
	if m.Spec.Source.Kind != "http" || m.Spec.Disabled || m.Spec.Source.Disabled {
		return
	}
	made, err := route.Of(m)
	if err != nil { // it was checked when it was stored
		r.log.Warn("make route", "mapping", m.Metadata.Name, "error", err)
		return
	}
	r.explicit[catalog.Name{Namespace: m.Metadata.Namespace, Name: m.Metadata.Name}] = made
}

// note decides what of an alias is in effect. What was in effect once stays so
// until its successor is ready. The caller holds mu.
func (r *routes) note(n catalog.Name, a function.Alias) {
	key := aliasKey{n, a.Metadata.Name}
	e := r.aliases[key]
	if e == nil {
		e = &aliasEntry{said: a.Status}
		e.said.History = nil
		r.aliases[key] = e
		if a.Status.Effective != nil {
			e.effective = *a.Status.Effective
		}
	}
	e.alias, e.waiting = a, nil
	if revisionOf(a) != e.said.Observed {
		e.waiting = r.waiting(n, a.Spec)
	}
	if len(e.waiting) == 0 || len(e.effective.Versions) == 0 {
		e.effective = a.Spec
	}
	if delete(r.waiters, key); len(e.waiting) > 0 {
		r.waiters[key] = true
	}
	r.unsaid[key], r.stale.aliases[key] = true, true
	r.bump()
}

func revisionOf(a function.Alias) int64 {
	rev, _ := strconv.ParseInt(a.Metadata.ResourceVersion, 10, 64) // the catalog wrote it
	return rev
}

// waiting says what is not ready of what a spec names.
func (r *routes) waiting(n catalog.Name, s function.AliasSpec) (out []string) {
	for _, v := range s.Names() {
		switch d, known := r.deployments[catalog.Deployment{Name: n, Version: v}]; {
		case !known:
			out = append(out, fmt.Sprintf("version %s is starting", function.VersionLabel(v)))
		case d.State != route.Serving && d.State != route.Asleep:
			out = append(out, strings.TrimSuffix(fmt.Sprintf("version %s is %s: %s", function.VersionLabel(v), d.State, d.Message), ": "))
		}
	}
	return out
}

// status is the alias with the status that is true once the table is told.
func (e *aliasEntry) status() function.Alias {
	a, effective := e.alias, e.effective
	a.Status = function.AliasStatus{Effective: &effective, Observed: e.said.Observed, Waiting: e.waiting}
	if len(e.waiting) == 0 {
		a.Status.Observed = revisionOf(a)
	}
	return a
}

func (r *routes) say(ctx context.Context, key aliasKey, a function.Alias, ok bool) error {
	r.mu.Lock()
	e := r.aliases[key]
	fresh := ok && e != nil && !reflect.DeepEqual(e.said, a.Status)
	r.mu.Unlock()
	if !fresh {
		return nil
	}
	if err := r.catalog.SetAliasStatus(ctx, a); err != nil {
		return err
	}
	r.mu.Lock()
	e.said = a.Status
	r.mu.Unlock()
	return nil
}
