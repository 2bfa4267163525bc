package catalog

import (
	"context"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// Change says that something about an object is different now.
type Change struct {
	Object
	Revision store.Revision
	Gone     bool // the key was deleted
}

// Watch sends a change for each commit after revision from, until ctx is done;
// then, or when the store cannot go on from there, the channel is closed: list
// again.
func (c *Catalog) Watch(ctx context.Context, from store.Revision) <-chan Change {
	in, out := c.s.Watch(ctx, "", from), make(chan Change)
	go func() {
		defer close(out)
		for e := range in {
			o, ok := parseKey(e.Key)
			if !ok {
				continue
			}
			select {
			case out <- Change{o, e.Revision, e.Value == nil}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Deployments returns every deployment that may run or has a status: working
// copies, and the versions that an alias or a mapping names or named until shortly. The
// revision is one from which [Catalog.Watch] misses nothing.
func (c *Catalog) Deployments(ctx context.Context) ([]Deployment, store.Revision, error) {
	seen := map[Deployment]bool{}
	var out []Deployment
	add := func(d Deployment) {
		if !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	var first store.Revision
	for _, prefix := range []string{specs, statuses, versionStatuses} {
		all, err := store.Range(ctx, c.s, store.Span{Prefix: prefix, Bare: true})
		if err != nil {
			return nil, 0, err
		}
		if first == 0 {
			first = all.Revision
		}
		for _, e := range all.Entries {
			if o, ok := parseKey(e.Key); ok {
				add(Deployment{o.Name, o.Version})
			}
		}
	}
	all, _, err := c.Aliases(ctx, Name{})
	if err != nil {
		return nil, 0, err
	}
	for _, a := range all {
		for _, v := range a.Spec.Names() {
			add(Deployment{Name{a.Metadata.Namespace, a.Spec.Function}, v})
		}
	}
	mappings, _, err := c.Mappings(ctx, "")
	if err != nil {
		return nil, 0, err
	}
	for _, m := range mappings {
		if v, err := function.ParseVersion(m.Spec.Version); err == nil {
			add(Deployment{Name{m.Metadata.Namespace, m.Spec.Function}, v})
		}
	}
	return out, first, nil
}
