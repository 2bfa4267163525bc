package control

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// stale names what of a table is other than the gateways know it.
type stale struct {
	deployments map[catalog.Deployment]bool
	aliases     map[aliasKey]bool
	routes      map[catalog.Name]bool
}

func newStale() stale {
	return stale{map[catalog.Deployment]bool{}, map[aliasKey]bool{}, map[catalog.Name]bool{}}
}

func (s stale) add(more stale) {
	maps.Copy(s.deployments, more.deployments)
	maps.Copy(s.aliases, more.aliases)
	maps.Copy(s.routes, more.routes)
}

// news is what a gateway is to be told: by how the table differs from the one
// that all of them know, or the whole of it.
type news struct {
	r        *routes
	to       route.Edition
	diff     []byte           // nil: no gateway knows any
	statuses []function.Alias // to be said of aliases once it is told
	table    []byte           // made when it is asked for
}

// news returns what is to be told now. [routes.heard] ends it; there is one at a
// time.
func (r *routes) news() (*news, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &news{r: r, to: route.Edition{Of: r.id, At: r.seq}}
	for key := range r.unsaid {
		if e := r.aliases[key]; e != nil {
			n.statuses = append(n.statuses, e.status())
		}
	}
	clear(r.unsaid)
	r.called, r.stale = r.stale, newStale()
	if r.told == 0 {
		return n, nil
	}
	d := r.called.diff(r)
	d.From, d.To = route.Edition{Of: r.id, At: r.told}, n.to
	var err error
	n.diff, err = document.MarshalRevealed(d) // only the gateway reads it
	return n, err
}

// diff is what is stale, as it is now. The caller holds mu.
func (s stale) diff(r *routes) (d route.Diff) {
	for k := range s.deployments {
		if now, there := r.deployments[k]; there {
			d.Deployments = append(d.Deployments, now)
		} else {
			d.GoneDeployments = append(d.GoneDeployments, route.Key{Namespace: k.Namespace, Function: k.Name.Name, Version: k.Label()})
		}
	}
	for k := range s.aliases {
		if e := r.aliases[k]; e != nil {
			d.Aliases = append(d.Aliases, e.entry(k))
		} else {
			d.GoneAliases = append(d.GoneAliases, route.AliasName{Namespace: k.Namespace, Function: k.Name.Name, Name: k.alias})
		}
	}
	for k := range s.routes {
		if now, there := r.explicit[k]; there {
			d.Routes = append(d.Routes, now)
		} else {
			d.GoneRoutes = append(d.GoneRoutes, route.RouteName{Namespace: k.Namespace, Name: k.Name})
		}
	}
	return d
}

// entry is what of an alias is in effect.
func (e *aliasEntry) entry(k aliasKey) route.Alias {
	s := e.effective
	return route.Alias{Namespace: k.Namespace, Function: k.Name.Name, Name: k.alias, Versions: s.Versions, Sticky: s.Sticky, Rules: s.Rules}
}

// whole is all of the table, as it is when it is asked for first: it may be
// further than the difference, and what is told then is told once more.
func (n *news) whole() ([]byte, error) {
	if n.table != nil {
		return n.table, nil
	}
	n.r.mu.Lock()
	t := n.r.table()
	n.r.mu.Unlock()
	t.Edition = n.to
	slices.SortFunc(t.Deployments, func(a, b route.Deployment) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Function, b.Function), cmp.Compare(a.Version, b.Version))
	})
	slices.SortFunc(t.Routes, func(a, b route.Route) int {
		return cmp.Or(cmp.Compare(a.Target.Namespace, b.Target.Namespace), cmp.Compare(a.Name, b.Name))
	})
	var err error
	n.table, err = document.MarshalRevealed(t)
	return n.table, err
}

// table is the table as it is now. The caller holds mu.
func (r *routes) table() route.Table {
	t := route.Table{Deployments: slices.Collect(maps.Values(r.deployments)), Routes: slices.Collect(maps.Values(r.explicit))}
	for key, e := range r.aliases {
		t.Aliases = append(t.Aliases, e.entry(key))
	}
	return t
}

// heard notes whether all gateways know the news, and what of aliases is in
// effect with them. What was not heard is to be told again.
func (r *routes) heard(ctx context.Context, n *news, ok bool) error {
	r.mu.Lock()
	if ok {
		r.told = n.to.At
	} else {
		r.stale.add(r.called)
	}
	r.called = stale{}
	r.mu.Unlock()
	var errs []error
	for _, a := range n.statuses {
		key := aliasKey{catalog.Name{Namespace: a.Metadata.Namespace, Name: a.Spec.Function}, a.Metadata.Name}
		err := r.say(ctx, key, a, ok)
		errs = append(errs, err)
		if err != nil || !ok {
			r.mu.Lock()
			r.unsaid[key] = true
			r.mu.Unlock()
		}
	}
	return errors.Join(errs...)
}
