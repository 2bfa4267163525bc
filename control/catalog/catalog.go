// Package catalog keeps functions, their versions and aliases in a store: what
// their owner writes under one key, and the status, which the control plane
// writes, under another, so that neither is in the other's way. It knows no API
// and no platform.
package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Catalog is functions in a store.
type Catalog struct {
	s         store.Store
	functions index[function.Function]
	mappings  index[function.Mapping]
}

// New returns the catalog of s.
func New(s store.Store) *Catalog {
	return &Catalog{
		s:         s,
		functions: index[function.Function]{s: s, specs: specs, statuses: statuses, decode: decode, status: func(f *function.Function) any { return &f.Status }},
		mappings:  index[function.Mapping]{s: s, specs: MappingKeys, statuses: MappingStatusKeys, decode: decodeMapping, status: func(m *function.Mapping) any { return &m.Status }},
	}
}

// Get returns a function with its status; its resourceVersion is the revision
// of its configuration. [store.ErrNotFound]: there is none.
func (c *Catalog) Get(ctx context.Context, n Name) (function.Function, error) {
	e, err := store.Get(ctx, c.s, n.spec())
	if err != nil {
		return function.Function{}, err
	}
	f, err := decode(e)
	if err != nil {
		return f, err
	}
	st, err := store.Get(ctx, c.s, n.status())
	if err == nil {
		err = json.Unmarshal(st.Value, &f.Status)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return f, fmt.Errorf("read status of %s: %w", n, err)
	}
	return f, nil
}

func decode(e store.Entry) (function.Function, error) {
	var f function.Function
	if err := json.Unmarshal(e.Value, &f.Config); err != nil {
		return f, fmt.Errorf("read %s: %w", e.Key, err)
	}
	f.Metadata.ResourceVersion = strconv.FormatInt(int64(e.Revision), 10)
	f.Status.State = function.WaitingForBuild
	return f, nil
}

// List returns the functions of a namespace, "" for all, in order, and a
// revision from which [Catalog.Watch] misses nothing. Their maps and lists are
// not to be changed.
func (c *Catalog) List(ctx context.Context, namespace string) ([]function.Function, store.Revision, error) {
	return c.functions.list(ctx, namespace)
}

// Page is [Catalog.List] of a part only, see [Part].
func (c *Catalog) Page(ctx context.Context, p Part) (Listed[function.Function], error) {
	return c.functions.page(ctx, p)
}

// Reachable says whether the store answers.
func (c *Catalog) Reachable(ctx context.Context) error {
	_, err := store.Get(ctx, c.s, families)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Put stores a configuration, and with it the mappings that its triggers are.
// version is the resourceVersion that it replaces: "0" for none, "" for any.
// [store.ErrConflict]: it is another.
func (c *Catalog) Put(ctx context.Context, cfg function.Config, version string) error {
	n := Name{cfg.Metadata.Namespace, cfg.Metadata.Name}
	op := store.Op{Key: n.spec()}
	cfg.Metadata.ResourceVersion = ""
	var err error
	if op.Value, err = document.MarshalRevealed(cfg); err != nil {
		return fmt.Errorf("store function: %w", err)
	}
	if op.Check, op.If, err = check(version); err != nil {
		return err
	}
	return again(func() error {
		ops, err := c.owned(ctx, cfg)
		if err != nil {
			return err
		}
		_, err = c.s.Commit(ctx, append([]store.Op{op}, ops...)...)
		if len(ops) == 0 || !errors.Is(err, store.ErrConflict) {
			return err
		}
		// Whose conflict is it?
		at := store.Revision(0)
		e, gerr := store.Get(ctx, c.s, n.spec())
		switch {
		case gerr == nil:
			at = e.Revision
		case !errors.Is(gerr, store.ErrNotFound):
			return gerr
		}
		if op.Check && at != op.If {
			return err
		}
		return errMet
	})
}

func check(version string) (bool, store.Revision, error) {
	if version == "" {
		return false, 0, nil
	}
	rev, err := strconv.ParseInt(version, 10, 64)
	if err != nil {
		return false, 0, fmt.Errorf("resourceVersion %q: %w", version, store.ErrConflict)
	}
	return true, store.Revision(rev), nil
}

// Delete removes a function with its versions and aliases. What runs of it is
// stopped by whoever watches, and its status stays until then.
func (c *Catalog) Delete(ctx context.Context, n Name, version string) error {
	must, at, err := check(version)
	if err != nil {
		return err
	}
	err = again(func() error {
		fam, err := c.family(ctx, n)
		if err != nil {
			return err
		}
		e, err := store.Get(ctx, c.s, n.spec())
		if must && (err != nil && !errors.Is(err, store.ErrNotFound) || e.Revision != at) {
			return errors.Join(store.ErrConflict, err)
		}
		ops := []store.Op{{Key: n.spec(), Check: must, If: at}}
		if fam.at > 0 {
			ops = append(ops, fam.op())
		}
		gone, err := c.relatives(ctx, n)
		if err != nil {
			return err
		}
		for _, key := range gone[:min(len(gone), maxOps)] {
			ops = append(ops, store.Op{Key: key})
		}
		_, err = c.s.Commit(ctx, ops...)
		return met(err)
	})
	if err != nil {
		return err
	}
	c.functions.drop(n)
	return c.Sweep(ctx, n)
}

// maxOps bounds the changes of one commit.
const maxOps = 100

// relatives are the keys of a function's aliases, jobs, versions and mappings, aliases first.
func (c *Catalog) relatives(ctx context.Context, n Name) (keys []string, err error) {
	for _, prefix := range []string{aliases, aliasStatuses, rollouts, rolloutStatuses, JobKeys, JobStatusKeys, jobItems, jobRecords, versions} {
		found, err := store.Range(ctx, c.s, store.Span{Prefix: prefix + n.path() + "/", Bare: true})
		if err != nil {
			return nil, err
		}
		for _, e := range found.Entries {
			keys = append(keys, e.Key)
		}
	}
	has, err := c.ownedBy(ctx, n)
	for _, m := range has {
		for _, op := range dropMapping(m) {
			keys = append(keys, op.Key)
		}
	}
	return keys, err
}

// Sweep removes what is left of the versions and aliases of a function that is
// no more.
func (c *Catalog) Sweep(ctx context.Context, n Name) error {
	for {
		keys, err := c.relatives(ctx, n)
		if err != nil || len(keys) == 0 {
			return err
		}
		if _, err := store.Get(ctx, c.s, n.spec()); !errors.Is(err, store.ErrNotFound) {
			return err // there is one again, whose these are now
		}
		var ops []store.Op
		for _, key := range keys[:min(len(keys), maxOps)] {
			ops = append(ops, store.Op{Key: key})
		}
		if _, err := c.s.Commit(ctx, ops...); err != nil {
			return err
		}
	}
}

// SetStatus stores a status.
func (c *Catalog) SetStatus(ctx context.Context, n Name, s function.Status) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("store status of %s: %w", n, err)
	}
	if _, err := c.s.Commit(ctx, store.Op{Key: n.status(), Value: b}); err != nil {
		return fmt.Errorf("store status of %s: %w", n, err)
	}
	return nil
}

// DropStatus removes the status of a deployment, if there is one.
func (c *Catalog) DropStatus(ctx context.Context, d Deployment) error {
	if _, err := store.Get(ctx, c.s, d.status()); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}
	_, err := c.s.Commit(ctx, store.Op{Key: d.status()})
	return err
}
