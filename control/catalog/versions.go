package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// ErrNotBuilt says that a function has no artefact, without which there is
// nothing to publish.
var ErrNotBuilt = errors.New("it was not built")

// NamedError says that something cannot go because others name it.
type NamedError struct {
	What string   // version 3
	By   []string // alias prod
}

func (e *NamedError) Error() string { return e.What + " is named by " + strings.Join(e.By, ", ") }

// Publish makes a version of the function as it is. If nothing has changed since
// the last version, that one is returned, and fresh is false.
func (c *Catalog) Publish(ctx context.Context, n Name, note, by string) (v function.Version, fresh bool, err error) {
	err = again(func() error {
		v, fresh, err = c.publish(ctx, n, note, by)
		return err
	})
	return v, fresh, err
}

func (c *Catalog) publish(ctx context.Context, n Name, note, by string) (v function.Version, fresh bool, err error) {
	fam, err := c.family(ctx, n) // first: a delete meanwhile writes it
	if err != nil {
		return v, false, err
	}
	f, err := c.Get(ctx, n)
	if err != nil {
		return v, false, err
	}
	f.Metadata.ResourceVersion = ""
	v = function.Version{
		Namespace: n.Namespace, Function: n.Name, Number: fam.Last + 1, Artefact: f.Metadata.Annotations[plan.ArtefactAnnotation],
		Config: f.Config, Note: note, Publisher: by, Created: time.Now().UTC().Round(time.Millisecond),
	}
	if v.Artefact == "" {
		return v, false, fmt.Errorf("publish %s: %w", n, ErrNotBuilt)
	}
	last, err := c.Version(ctx, Deployment{n, fam.Last})
	switch {
	case fam.Last == 0 || errors.Is(err, store.ErrNotFound):
	case err != nil:
		return v, false, err
	case sameConfig(last.Config, v.Config):
		return last, false, nil
	}
	b, err := document.MarshalRevealed(v)
	if err != nil {
		return v, false, fmt.Errorf("store version: %w", err)
	}
	fam.Last++
	_, err = c.s.Commit(ctx, fam.op(), store.Op{Key: Deployment{n, v.Number}.spec(), Value: b, Check: true})
	return v, true, met(err)
}

func sameConfig(a, b function.Config) bool {
	x, errX := document.MarshalRevealed(a)
	y, errY := document.MarshalRevealed(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// Version returns a version with its status, without who names it.
// [store.ErrNotFound]: there is none.
func (c *Catalog) Version(ctx context.Context, d Deployment) (v function.Version, err error) {
	if d.Version < 1 {
		return v, store.ErrNotFound
	}
	e, err := store.Get(ctx, c.s, d.spec())
	if err == nil {
		err = json.Unmarshal(e.Value, &v)
	}
	if err != nil {
		return v, wrapRead(d, err)
	}
	v.Status.State = function.Stopped
	st, err := store.Get(ctx, c.s, d.status())
	if err == nil {
		err = json.Unmarshal(st.Value, &v.Status)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return v, fmt.Errorf("read status of %s: %w", d, err)
	}
	return v, nil
}

func wrapRead(d Deployment, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return err
	}
	return fmt.Errorf("read %s: %w", d, err)
}

// Versions returns the versions of a function, the oldest first, with their
// status and who names them, and the revision at which that was so.
func (c *Catalog) Versions(ctx context.Context, n Name) ([]function.Version, store.Revision, error) {
	entries, rev, err := c.s.List(ctx, versions+n.path()+"/")
	if err != nil {
		return nil, 0, err
	}
	found, _, err := c.s.List(ctx, versionStatuses+n.path()+"/")
	if err != nil {
		return nil, 0, err
	}
	status := map[string][]byte{}
	for _, e := range found {
		status[e.Key] = e.Value
	}
	named, err := c.Named(ctx, n)
	if err != nil {
		return nil, 0, err
	}
	out := make([]function.Version, len(entries))
	for i, e := range entries {
		v := &out[i]
		if err := json.Unmarshal(e.Value, v); err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", e.Key, err)
		}
		v.Status.State = function.Stopped
		d := Deployment{n, v.Number}
		if st := status[d.status()]; st != nil {
			if err := json.Unmarshal(st, &v.Status); err != nil {
				return nil, 0, fmt.Errorf("read status of %s: %w", d, err)
			}
		}
		v.Status.NamedBy = named[v.Number]
	}
	return out, rev, nil
}

// Named says which versions of a function are named, the working copy as 0, and
// by whom: aliases, by what they are to lead to and what they lead to now, and
// event mappings, also those that are disabled.
func (c *Catalog) Named(ctx context.Context, n Name) (map[int][]string, error) {
	return c.namedBy(ctx, n, func(function.Mapping) bool { return true })
}

// Used is [Catalog.Named] without the event mappings that are disabled: it says
// which versions are to run.
func (c *Catalog) Used(ctx context.Context, n Name) (map[int][]string, error) {
	return c.namedBy(ctx, n, func(m function.Mapping) bool { return !m.Spec.Disabled })
}

func (c *Catalog) namedBy(ctx context.Context, n Name, counts func(function.Mapping) bool) (map[int][]string, error) {
	all, _, err := c.Aliases(ctx, n)
	if err != nil {
		return nil, err
	}
	out := map[int][]string{}
	add := func(v int, who string) {
		if !slices.Contains(out[v], who) {
			out[v] = append(out[v], who)
		}
	}
	for _, a := range all {
		for _, v := range a.Spec.Names() {
			add(v, "alias "+a.Metadata.Name)
		}
		if a.Status.Effective != nil {
			for _, v := range a.Status.Effective.Names() {
				add(v, "alias "+a.Metadata.Name)
			}
		}
	}
	mappings, err := c.MappingsOf(ctx, n)
	for _, m := range mappings {
		if v, err := function.ParseVersion(m.Spec.Version); err == nil && v > 0 && counts(m) {
			add(v, follower(m))
		}
	}
	return out, err
}

// DeleteVersion removes a version. A [*NamedError] says that it is named. What
// runs of it is stopped by whoever watches.
func (c *Catalog) DeleteVersion(ctx context.Context, d Deployment) error {
	if d.Version < 1 {
		return store.ErrNotFound
	}
	return again(func() error {
		fam, err := c.family(ctx, d.Name)
		if err != nil {
			return err
		}
		if _, err := store.Get(ctx, c.s, d.spec()); err != nil {
			return err
		}
		named, err := c.Named(ctx, d.Name)
		if err != nil {
			return err
		}
		if by := named[d.Version]; len(by) > 0 {
			return &NamedError{fmt.Sprintf("version %d of %s", d.Version, d.Name.Name), by}
		}
		_, err = c.s.Commit(ctx, fam.op(), store.Op{Key: d.spec()})
		return met(err)
	})
}

// SetVersionStatus stores the status of a version; who names it is left out,
// because the others say so.
func (c *Catalog) SetVersionStatus(ctx context.Context, d Deployment, s function.VersionStatus) error {
	s.NamedBy = nil
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("store status of %s: %w", d, err)
	}
	if _, err := c.s.Commit(ctx, store.Op{Key: d.status(), Value: b}); err != nil {
		return fmt.Errorf("store status of %s: %w", d, err)
	}
	return nil
}
