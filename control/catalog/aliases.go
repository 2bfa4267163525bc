package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// ErrNoFormer says that an alias was never elsewhere.
var ErrNoFormer = errors.New("it was never elsewhere")

func decodeAlias(e store.Entry) (a function.Alias, err error) {
	if err := json.Unmarshal(e.Value, &a); err != nil {
		return a, fmt.Errorf("read %s: %w", e.Key, err)
	}
	a.Metadata.ResourceVersion = strconv.FormatInt(int64(e.Revision), 10)
	return a, nil
}

// withStatus adds what is in effect to an alias that was read; its history is
// its own.
func withStatus(a *function.Alias, raw []byte) error {
	if raw == nil {
		return nil
	}
	history := a.Status.History
	if err := json.Unmarshal(raw, &a.Status); err != nil {
		return fmt.Errorf("read status of alias %s: %w", a.Metadata.Name, err)
	}
	a.Status.History = history
	return nil
}

// Alias returns an alias with its status. [store.ErrNotFound]: there is none.
func (c *Catalog) Alias(ctx context.Context, n Name, name string) (a function.Alias, err error) {
	e, err := store.Get(ctx, c.s, n.alias(name))
	if err != nil {
		return a, err
	}
	if a, err = decodeAlias(e); err != nil {
		return a, err
	}
	st, err := store.Get(ctx, c.s, n.aliasStatus(name))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return a, err
	}
	return a, withStatus(&a, st.Value)
}

// below begins the keys of what belongs to n; a name that is empty stands for
// all, of the namespace or of all.
func (n Name) below() string {
	switch {
	case n.Name != "":
		return n.path() + "/"
	case n.Namespace != "":
		return n.Namespace + "/"
	}
	return ""
}

// Aliases returns the aliases of a function, in order, with their status, and
// the revision at which that was so. A name that is empty stands for all: of
// the namespace, or with neither of all.
func (c *Catalog) Aliases(ctx context.Context, n Name) ([]function.Alias, store.Revision, error) {
	below := n.below()
	entries, rev, err := c.s.List(ctx, aliases+below)
	if err != nil || len(entries) == 0 {
		return nil, rev, err
	}
	found, _, err := c.s.List(ctx, aliasStatuses+below)
	if err != nil {
		return nil, 0, err
	}
	status := map[string][]byte{}
	for _, e := range found {
		status[e.Key] = e.Value
	}
	out := make([]function.Alias, len(entries))
	for i, e := range entries {
		if out[i], err = decodeAlias(e); err == nil {
			m := out[i].Metadata
			err = withStatus(&out[i], status[Name{m.Namespace, out[i].Spec.Function}.aliasStatus(m.Name)])
		}
		if err != nil {
			return nil, 0, err
		}
	}
	return out, rev, nil
}

// Author says who makes a change, and why.
type Author struct{ By, Note string }

// PutAlias moves an alias, or makes it. version is the resourceVersion that it
// replaces: "0" for none, "" for any. [store.ErrConflict]: it is another.
// [document.Errors] say which function or versions are not there. An alias that
// is so already stays as it is.
func (c *Catalog) PutAlias(ctx context.Context, a function.Alias, version string, who Author) (out function.Alias, err error) {
	n := Name{a.Metadata.Namespace, a.Spec.Function}
	err = again(func() error {
		out, err = c.putAlias(ctx, n, a, version, who)
		return err
	})
	return out, err
}

func (c *Catalog) putAlias(ctx context.Context, n Name, a function.Alias, version string, who Author) (function.Alias, error) {
	fam, err := c.family(ctx, n)
	if err != nil {
		return a, err
	}
	old, err := c.Alias(ctx, n, a.Metadata.Name)
	at := store.Revision(0)
	switch {
	case err == nil:
		at = revisionOf(old)
	case !errors.Is(err, store.ErrNotFound):
		return a, err
	}
	if version != "" && version != strconv.FormatInt(int64(at), 10) {
		return a, store.ErrConflict
	}
	a.Metadata.ResourceVersion, a.Status = old.Metadata.ResourceVersion, old.Status
	if at > 0 && reflect.DeepEqual(a, old) {
		return old, nil
	}
	if err := c.leadsSomewhere(ctx, n, a.Spec); err != nil {
		return a, err
	}
	return c.commitAlias(ctx, n, a, at, fam, who)
}

func (c *Catalog) commitAlias(ctx context.Context, n Name, a function.Alias, at store.Revision, fam family, who Author) (function.Alias, error) {
	status := a.Status
	ops, history, err := aliasOps(n, a, at, fam, who)
	if err != nil {
		return a, err
	}
	rev, err := c.s.Commit(ctx, ops...)
	if err != nil {
		return a, met(err)
	}
	a.Metadata.ResourceVersion = strconv.FormatInt(int64(rev), 10)
	status.History = history
	a.Status = status
	return a, nil
}

// aliasOps write an alias in place of the one at a revision, and say what its
// history is then.
func aliasOps(n Name, a function.Alias, at store.Revision, fam family, who Author) ([]store.Op, []function.Move, error) {
	move := function.Move{At: time.Now().UTC().Round(time.Millisecond), By: who.By, Note: who.Note, Spec: a.Spec}
	history := slices.Clone(a.Status.History)
	if len(history) == 0 || !reflect.DeepEqual(history[0].Spec, a.Spec) {
		history = slices.Insert(history, 0, move)
	}
	a.Metadata.ResourceVersion = ""
	a.Status = function.AliasStatus{History: history[:min(len(history), function.MaxHistory)]}
	b, err := document.MarshalRevealed(a)
	if err != nil {
		return nil, nil, fmt.Errorf("store alias: %w", err)
	}
	ops := []store.Op{fam.op(), {Key: n.alias(a.Metadata.Name), Value: b, Check: true, If: at}}
	if at == 0 { // a former alias of that name may have left its own
		ops = append(ops, store.Op{Key: n.aliasStatus(a.Metadata.Name)})
	}
	return ops, a.Status.History, nil
}

func revisionOf(a function.Alias) store.Revision {
	rev, _ := strconv.ParseInt(a.Metadata.ResourceVersion, 10, 64) // the catalog wrote it
	return store.Revision(rev)
}

// leadsSomewhere checks that the function and all versions are there.
func (c *Catalog) leadsSomewhere(ctx context.Context, n Name, s function.AliasSpec) error {
	var problems document.Errors
	if _, err := store.Get(ctx, c.s, n.spec()); errors.Is(err, store.ErrNotFound) {
		problems.Add("spec.function", "there is no function %q in namespace %s", n.Name, n.Namespace)
		return problems
	} else if err != nil {
		return err
	}
	look := func(path, label string) error {
		v, err := function.ParseVersion(label)
		if err != nil || v == 0 {
			return nil //nolint:nilerr // its form was checked before
		}
		_, err = store.Get(ctx, c.s, Deployment{n, v}.spec())
		if errors.Is(err, store.ErrNotFound) {
			problems.Add(path, "%s has no version %d", n.Name, v)
			return nil
		}
		return err
	}
	for i, w := range s.Versions {
		if err := look(fmt.Sprintf("spec.versions[%d].version", i), w.Version); err != nil {
			return err
		}
	}
	for i, r := range s.Rules {
		if err := look(fmt.Sprintf("spec.rules[%d].version", i), r.Version); err != nil {
			return err
		}
	}
	return problems.Err()
}

// Rollback moves an alias back to where it led before its last move.
// [ErrNoFormer]: there was no such move.
func (c *Catalog) Rollback(ctx context.Context, n Name, name, version string, who Author) (function.Alias, error) {
	a, err := c.Alias(ctx, n, name)
	if err != nil {
		return a, err
	}
	if version != "" && version != a.Metadata.ResourceVersion {
		return a, store.ErrConflict
	}
	if len(a.Status.History) < 2 {
		return a, ErrNoFormer
	}
	a.Spec = a.Status.History[1].Spec
	if who.Note == "" {
		who.Note = "rollback"
	}
	return c.PutAlias(ctx, a, a.Metadata.ResourceVersion, who)
}

// DeleteAlias removes an alias. version is as in [Catalog.Put]. A [*NamedError]
// says which event mappings and routes follow it; with force it goes all the
// same, and they wait until there is one of its name again.
func (c *Catalog) DeleteAlias(ctx context.Context, n Name, name, version string, force bool) error {
	return again(func() error {
		fam, err := c.family(ctx, n)
		if err != nil {
			return err
		}
		a, err := c.Alias(ctx, n, name)
		if err != nil {
			return err
		}
		if version != "" && version != a.Metadata.ResourceVersion {
			return store.ErrConflict
		}
		if !force {
			if err := c.unfollowed(ctx, n, name); err != nil {
				return err
			}
		}
		_, err = c.s.Commit(ctx, fam.op(), store.Op{Key: n.alias(name), Check: true, If: revisionOf(a)}, store.Op{Key: n.aliasStatus(name)})
		return met(err)
	})
}

// unfollowed is a [*NamedError] if a mapping leads to an alias.
func (c *Catalog) unfollowed(ctx context.Context, n Name, name string) error {
	mappings, err := c.MappingsOf(ctx, n)
	if err != nil {
		return err
	}
	var by []string
	for _, m := range mappings {
		if m.Spec.Alias == name {
			by = append(by, follower(m))
		}
	}
	if len(by) > 0 {
		return &NamedError{fmt.Sprintf("alias %s of %s", name, n.Name), by}
	}
	return nil
}

// follower names a mapping as what it is to its user.
func follower(m function.Mapping) string {
	if m.Spec.Source.Kind == "http" {
		return "route " + m.Metadata.Name
	}
	return "mapping " + m.Metadata.Name
}

// SetAliasStatus stores what is in effect of an alias that is there.
func (c *Catalog) SetAliasStatus(ctx context.Context, a function.Alias) error {
	n := Name{a.Metadata.Namespace, a.Spec.Function}
	a.Status.History = nil
	b, err := json.Marshal(a.Status)
	if err != nil {
		return fmt.Errorf("store status of alias %s: %w", a.Metadata.Name, err)
	}
	if _, err := c.s.Commit(ctx, store.Op{Key: n.aliasStatus(a.Metadata.Name), Value: b}); err != nil {
		return fmt.Errorf("store status of alias %s: %w", a.Metadata.Name, err)
	}
	return nil
}
