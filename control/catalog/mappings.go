package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// The prefixes of mappings' keys. Below the last lie namespace, function and
// mapping, without a value: which mappings a function has.
const (
	MappingKeys       = "mappings/"
	MappingStatusKeys = "mapping-status/"
	mappingsOf        = "mappings-of/"
)

func mappingKey(n Name) string       { return MappingKeys + n.Namespace + "/" + n.Name }
func mappingStatusKey(n Name) string { return MappingStatusKeys + n.Namespace + "/" + n.Name }

func indexKey(namespace, fn, mapping string) string {
	return mappingsOf + namespace + "/" + fn + "/" + mapping
}

func decodeMapping(e store.Entry) (m function.Mapping, err error) {
	if err := json.Unmarshal(e.Value, &m); err != nil {
		return m, fmt.Errorf("read %s: %w", e.Key, err)
	}
	m.Metadata.ResourceVersion = strconv.FormatInt(int64(e.Revision), 10)
	return m, nil
}

// Mapping returns an event mapping with its status. [store.ErrNotFound]: there
// is none.
func (c *Catalog) Mapping(ctx context.Context, n Name) (m function.Mapping, err error) {
	e, err := store.Get(ctx, c.s, mappingKey(n))
	if err != nil {
		return m, err
	}
	if m, err = decodeMapping(e); err != nil {
		return m, err
	}
	st, err := store.Get(ctx, c.s, mappingStatusKey(n))
	if errors.Is(err, store.ErrNotFound) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(st.Value, &m.Status)
	}
	if err != nil {
		return m, fmt.Errorf("read status of mapping %s: %w", n.Name, err)
	}
	return m, nil
}

// Mappings returns the event mappings of a namespace, "" for all, in the order
// of their keys, with their status, and the revision at which that was so. Their
// maps and lists are not to be changed.
func (c *Catalog) Mappings(ctx context.Context, namespace string) ([]function.Mapping, store.Revision, error) {
	return c.mappings.list(ctx, namespace)
}

// MappingPage is [Catalog.Mappings] of a part only, see [Part].
func (c *Catalog) MappingPage(ctx context.Context, p Part) (Listed[function.Mapping], error) {
	return c.mappings.page(ctx, p)
}

// MappingsOf returns the event mappings of a function, which need not be there.
func (c *Catalog) MappingsOf(ctx context.Context, fn Name) ([]function.Mapping, error) {
	prefix := indexKey(fn.Namespace, fn.Name, "")
	all, err := store.Range(ctx, c.s, store.Span{Prefix: prefix, Bare: true})
	if err != nil {
		return nil, err
	}
	var out []function.Mapping
	for _, e := range all.Entries {
		m, err := c.Mapping(ctx, Name{fn.Namespace, strings.TrimPrefix(e.Key, prefix)})
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return nil, err
		case m.Spec.Function == fn.Name: // it may have been given to another since
			out = append(out, m)
		}
	}
	return out, nil
}

// mappingOps write a mapping in place of old, which may be the zero Mapping.
func mappingOps(m, old function.Mapping) ([]store.Op, error) {
	n := Name{m.Metadata.Namespace, m.Metadata.Name}
	at := int64(0)
	if v := old.Metadata.ResourceVersion; v != "" {
		at, _ = strconv.ParseInt(v, 10, 64) // the catalog wrote it
	}
	m.Metadata.ResourceVersion, m.Status = "", function.MappingStatus{}
	b, err := document.MarshalRevealed(m)
	if err != nil {
		return nil, fmt.Errorf("store mapping: %w", err)
	}
	ops := []store.Op{
		{Key: mappingKey(n), Value: b, Check: true, If: store.Revision(at)},
		{Key: indexKey(n.Namespace, m.Spec.Function, n.Name), Value: []byte("{}")},
	}
	if old.Spec.Function != "" && old.Spec.Function != m.Spec.Function {
		ops = append(ops, store.Op{Key: indexKey(n.Namespace, old.Spec.Function, n.Name)})
	}
	return ops, nil
}

func dropMapping(m function.Mapping) []store.Op {
	n := Name{m.Metadata.Namespace, m.Metadata.Name}
	at, _ := strconv.ParseInt(m.Metadata.ResourceVersion, 10, 64) // the catalog wrote it
	return []store.Op{
		{Key: mappingKey(n), Check: true, If: store.Revision(at)}, {Key: mappingStatusKey(n)}, {Key: indexKey(n.Namespace, m.Spec.Function, n.Name)},
	}
}

// ErrOwned says that a mapping is part of a function.yaml.
var ErrOwned = errors.New("it comes from function.yaml")

// PutMapping stores a mapping. version is as in [Catalog.Put].
// [document.Errors] say what it names that is not there, and what of it is not
// the writer's to say.
func (c *Catalog) PutMapping(ctx context.Context, m function.Mapping, version string) error {
	n := Name{m.Metadata.Namespace, m.Metadata.Name}
	return again(func() error {
		fam, err := c.family(ctx, Name{n.Namespace, m.Spec.Function})
		if err != nil {
			return err
		}
		old, err := c.Mapping(ctx, n)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if at := cmp.Or(old.Metadata.ResourceVersion, "0"); version != "" && version != at {
			return store.ErrConflict
		}
		if err := c.leadsTo(ctx, m, old); err != nil {
			return err
		}
		ops, err := mappingOps(m, old)
		if err != nil {
			return err
		}
		if v, err := function.ParseVersion(m.Spec.Version); err == nil && v > 0 || m.Spec.Alias != "" { // it does not go meanwhile
			ops = append(ops, fam.op())
		}
		_, err = c.s.Commit(ctx, ops...)
		return met(err)
	})
}

// leadsTo checks what a mapping names, and what of it has to stay.
func (c *Catalog) leadsTo(ctx context.Context, m, old function.Mapping) error {
	var problems document.Errors
	fn := Name{m.Metadata.Namespace, m.Spec.Function}
	trigger := func(x function.Mapping) string { return x.Metadata.Annotations[plan.TriggerAnnotation] }
	switch {
	case m.Spec.Owner != old.Spec.Owner && old.Spec.Owner == "":
		problems.Add("spec.owner", "is not to be said: mappings that come from a function.yaml have one")
	case m.Spec.Owner != old.Spec.Owner:
		problems.Add("spec.owner", "is %q and stays so: the mapping comes from function.yaml", old.Spec.Owner)
	case m.Spec.Owner != "" && (m.Spec.Function != old.Spec.Function || trigger(m) != trigger(old)):
		problems.Add("spec.function", "is %q and stays so: the mapping comes from its function.yaml", old.Spec.Function)
	}
	f, err := c.Get(ctx, fn)
	if errors.Is(err, store.ErrNotFound) {
		problems.Add("spec.function", "there is no function %q in namespace %s%s", fn.Name, fn.Namespace, c.meant(ctx, fn))
		return problems
	}
	if err != nil {
		return err
	}
	if _, taken := f.Spec.Triggers[m.Metadata.Name]; taken && m.Spec.Owner == "" {
		problems.Add("metadata.name", "%q is a trigger in the function.yaml of %s: choose another name", m.Metadata.Name, fn.Name)
	}
	if m.Spec.Alias != "" {
		if err := c.hasAlias(ctx, fn, m.Spec.Alias, &problems); err != nil {
			return err
		}
	}
	if v, err := function.ParseVersion(m.Spec.Version); err == nil && v > 0 {
		_, err := store.Get(ctx, c.s, Deployment{fn, v}.spec())
		if errors.Is(err, store.ErrNotFound) {
			problems.Add("spec.version", "%s has no version %d", fn.Name, v)
		} else if err != nil {
			return err
		}
	}
	return problems.Err()
}

func (c *Catalog) meant(ctx context.Context, fn Name) string {
	all, err := store.Range(ctx, c.s, store.Span{Prefix: specs + fn.Namespace + "/", Bare: true})
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range all.Entries {
		names = append(names, strings.TrimPrefix(e.Key, specs+fn.Namespace+"/"))
	}
	return document.DidYouMean(fn.Name, names)
}

func (c *Catalog) hasAlias(ctx context.Context, fn Name, name string, problems *document.Errors) error {
	_, err := store.Get(ctx, c.s, fn.alias(name))
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	all, _, err := c.Aliases(ctx, fn)
	var names []string
	for _, a := range all {
		names = append(names, a.Metadata.Name)
	}
	problems.Add("spec.alias", "%s has no alias %q%s", fn.Name, name, document.DidYouMean(name, names))
	return err
}

// DeleteMapping removes a mapping. version is as in [Catalog.Put]. [ErrOwned]:
// it goes with its trigger only.
func (c *Catalog) DeleteMapping(ctx context.Context, n Name, version string) error {
	return again(func() error {
		m, err := c.Mapping(ctx, n)
		switch {
		case err != nil:
			return err
		case version != "" && version != m.Metadata.ResourceVersion:
			return store.ErrConflict
		case m.Spec.Owner != "":
			return ErrOwned
		}
		if _, err = c.s.Commit(ctx, dropMapping(m)...); err == nil {
			c.mappings.drop(n)
		}
		return met(err)
	})
}

// Ran returns the versions of a function that have a status: those that run
// are among them.
func (c *Catalog) Ran(ctx context.Context, fn Name) (out []int, err error) {
	all, err := store.Range(ctx, c.s, store.Span{Prefix: versionStatuses + fn.path() + "/", Bare: true})
	for _, e := range all.Entries {
		if o, ok := parseKey(e.Key); ok {
			out = append(out, o.Version)
		}
	}
	return out, err
}

// SetMappingStatus stores the status of a mapping.
func (c *Catalog) SetMappingStatus(ctx context.Context, n Name, s function.MappingStatus) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("store status of mapping %s: %w", n.Name, err)
	}
	if _, err := c.s.Commit(ctx, store.Op{Key: mappingStatusKey(n), Value: b}); err != nil {
		return fmt.Errorf("store status of mapping %s: %w", n.Name, err)
	}
	return nil
}

// owned returns what makes the mappings of a function.yaml those of cfg: new
// triggers get a mapping, of changed ones the source is replaced and nothing
// else, and those of triggers that are gone go. A mapping whose name somebody
// else has gets another one.
func (c *Catalog) owned(ctx context.Context, cfg function.Config) ([]store.Op, error) {
	fn := Name{cfg.Metadata.Namespace, cfg.Metadata.Name}
	has, err := c.ownedBy(ctx, fn)
	if err != nil {
		return nil, err
	}
	var ops []store.Op
	for trigger, t := range cfg.Spec.Triggers {
		if t.Kind == "http" {
			continue
		}
		old, there := has[trigger]
		delete(has, trigger)
		m := old
		if !there {
			if m, err = c.newOwned(ctx, fn, trigger); err != nil {
				return nil, err
			}
		}
		m.Spec.Source = t
		if there && same(m.Spec.Source, old.Spec.Source) {
			continue
		}
		more, err := mappingOps(m, old)
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
	}
	for _, m := range has {
		ops = append(ops, dropMapping(m)...)
	}
	return ops, nil
}

func same(a, b function.Trigger) bool {
	x, xerr := document.MarshalRevealed(a)
	y, yerr := document.MarshalRevealed(b)
	return xerr == nil && yerr == nil && string(x) == string(y)
}

// ownedBy returns the mappings of a function's own function.yaml, by trigger.
func (c *Catalog) ownedBy(ctx context.Context, fn Name) (map[string]function.Mapping, error) {
	all, err := c.MappingsOf(ctx, fn)
	if err != nil {
		return nil, err
	}
	has := map[string]function.Mapping{}
	for _, m := range all {
		if m.Spec.Owner == plan.Owner(fn.Name) {
			has[plan.TriggerOf(m)] = m
		}
	}
	return has, nil
}

func (c *Catalog) newOwned(ctx context.Context, fn Name, trigger string) (function.Mapping, error) {
	m := function.Mapping{APIVersion: function.APIVersion, Kind: function.MappingKind}
	m.Metadata = function.Metadata{Namespace: fn.Namespace, Annotations: map[string]string{plan.TriggerAnnotation: trigger}}
	m.Spec.Function, m.Spec.Owner = fn.Name, plan.Owner(fn.Name)
	for _, apart := range []bool{false, true} {
		m.Metadata.Name = plan.Owned(fn.Name, trigger, apart)
		_, err := store.Get(ctx, c.s, mappingKey(Name{fn.Namespace, m.Metadata.Name}))
		if errors.Is(err, store.ErrNotFound) {
			return m, nil
		}
		if err != nil {
			return m, err
		}
	}
	return m, document.Errors{{Path: document.Join("spec.triggers", trigger), Msg: fmt.Sprintf("its event mapping would be called %q, and there is another one of that name: rename one", m.Metadata.Name)}}
}
