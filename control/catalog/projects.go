package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// The prefixes of keys, by the kinds of objects that they hold.
const (
	FunctionKeys = specs
	StatusKeys   = statuses
	// AliasKeys and AliasStatusKeys hold the function's name between
	// namespace and name.
	AliasKeys       = aliases
	AliasStatusKeys = aliasStatuses
	// RolloutKeys and RolloutStatusKeys likewise.
	RolloutKeys       = rollouts
	RolloutStatusKeys = rolloutStatuses
	ProjectKeys       = "projects/"
)

func (n Name) project() string { return ProjectKeys + n.Namespace + "/" + n.Name }

// Project returns a project. [store.ErrNotFound]: there is none.
func (c *Catalog) Project(ctx context.Context, n Name) (function.Project, error) {
	e, err := store.Get(ctx, c.s, n.project())
	if err != nil {
		return function.Project{}, err
	}
	return decodeProject(e)
}

func decodeProject(e store.Entry) (function.Project, error) {
	var p function.Project
	if err := json.Unmarshal(e.Value, &p); err != nil {
		return p, fmt.Errorf("read %s: %w", e.Key, err)
	}
	p.Metadata.ResourceVersion = strconv.FormatInt(int64(e.Revision), 10)
	return p, nil
}

// Projects returns the projects of a namespace, "" for all, in the order of
// their keys, and the revision at which that was so.
func (c *Catalog) Projects(ctx context.Context, namespace string) ([]function.Project, store.Revision, error) {
	prefix := ProjectKeys
	if namespace != "" {
		prefix += namespace + "/"
	}
	entries, rev, err := c.s.List(ctx, prefix)
	if err != nil {
		return nil, 0, err
	}
	out := make([]function.Project, 0, len(entries))
	for _, e := range entries {
		p, err := decodeProject(e)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, p)
	}
	return out, rev, nil
}

// PutProject stores a project. version is as in [Catalog.Put].
func (c *Catalog) PutProject(ctx context.Context, p function.Project, version string) error {
	op := store.Op{Key: Name{p.Metadata.Namespace, p.Metadata.Name}.project()}
	p.Metadata.ResourceVersion, p.Status = "", function.ProjectStatus{}
	var err error
	if op.Value, err = document.MarshalRevealed(p); err != nil {
		return fmt.Errorf("store project: %w", err)
	}
	if op.Check, op.If, err = check(version); err != nil {
		return err
	}
	_, err = c.s.Commit(ctx, op)
	return err
}

// DeleteProject removes a project; version is as in [Catalog.Put].
func (c *Catalog) DeleteProject(ctx context.Context, n Name, version string) error {
	op := store.Op{Key: n.project()}
	var err error
	if op.Check, op.If, err = check(version); err != nil {
		return err
	}
	_, err = c.s.Commit(ctx, op)
	return err
}

// KeyChange says that something under a key is different now.
type KeyChange struct {
	Namespace string
	Name      string // the rest of the key, with its slashes
	Revision  store.Revision
}

// WatchKeys sends a change for each commit under one of the prefixes after
// revision from, as [Catalog.Watch] does for functions.
func (c *Catalog) WatchKeys(ctx context.Context, from store.Revision, prefixes ...string) <-chan KeyChange {
	in, out := c.s.Watch(ctx, "", from), make(chan KeyChange)
	go func() {
		defer close(out)
		for e := range in {
			change, ok := keyChange(e, prefixes)
			if !ok {
				continue
			}
			select {
			case out <- change:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func keyChange(e store.Change, prefixes []string) (KeyChange, bool) {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(e.Key, p); ok {
			ns, name, ok := strings.Cut(rest, "/")
			return KeyChange{ns, name, e.Revision}, ok
		}
	}
	return KeyChange{}, false
}
