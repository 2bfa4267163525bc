package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// AliasList is a page of a function's aliases.
type AliasList = List[function.Alias]

// owner is the function whose aliases a request is about.
func owner(r *http.Request) catalog.Name {
	return catalog.Name{Namespace: namespace(r), Name: r.PathValue("function")}
}

// author says who moves something, and why. Who is known says nothing else of
// themselves.
func author(r *http.Request) catalog.Author {
	q := r.URL.Query()
	by := q.Get("by")
	if c := access.From(r.Context()); c.By != access.ByNone {
		by = c.Subject
	}
	return catalog.Author{By: by, Note: q.Get("note")}
}

// aliases are the aliases of the function in a request's path as a resource.
func (s *server) aliases(r *http.Request) resource[function.Alias] {
	c := s.o.Catalog
	of := r.PathValue("function")
	return resource[function.Alias]{
		one: "alias", many: "aliases", keys: []string{catalog.AliasKeys, catalog.AliasStatusKeys},
		own: func(k catalog.KeyChange) (catalog.KeyChange, bool) {
			name, ok := strings.CutPrefix(k.Name, of+"/")
			k.Name = name
			return k, ok
		},
		meta: func(a *function.Alias) *function.Metadata { return &a.Metadata },
		list: func(ctx context.Context, ns string) ([]function.Alias, store.Revision, error) {
			return c.Aliases(ctx, catalog.Name{Namespace: ns, Name: of})
		},
		get: func(ctx context.Context, n catalog.Name) (function.Alias, error) {
			return c.Alias(ctx, catalog.Name{Namespace: n.Namespace, Name: of}, n.Name)
		},
		complete: func(a *function.Alias) {
			if a.Spec.Function == "" {
				a.Spec.Function = of
			}
			function.AliasDefaults(a)
		},
		check: func(a function.Alias) error {
			if a.Spec.Function != "" && a.Spec.Function != of {
				return wrong("spec.function", "is %q and the path's function %q; an alias does not change its function", a.Spec.Function, of)
			}
			a.Spec.Function = of
			function.AliasDefaults(&a)
			return function.ValidateAlias(a)
		},
		put: func(ctx context.Context, a function.Alias, v string) error {
			a.Spec.Function = of
			function.AliasDefaults(&a)
			moved, err := c.PutAlias(ctx, a, v, author(r))
			if err != nil {
				return err
			}
			return s.awaitEffect(r, moved)
		},
		drop: func(r *http.Request, a function.Alias, v string) error {
			force, err := flag(r, "force")
			if err != nil {
				return err
			}
			err = c.DeleteAlias(r.Context(), owner(r), a.Metadata.Name, v, force)
			if named := (*catalog.NamedError)(nil); errors.As(err, &named) {
				return problem.New(http.StatusConflict, err.Error()+": move or delete what names it first, or force it")
			}
			return err
		},
	}
}

// ofFunction makes handlers for the aliases of the function in the path.
func (s *server) ofFunction(make func(*server, resource[function.Alias]) handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		return make(s, s.aliases(r))(w, r)
	}
}

// maxWait bounds how long a request waits for an alias to be in effect.
const maxWait = 10 * time.Minute

// awaitEffect waits, for as long as ?wait= says, until an alias that was moved
// leads where it was moved to. That it does not yet, its status says.
func (s *server) awaitEffect(r *http.Request, a function.Alias) error {
	text := r.URL.Query().Get("wait")
	if text == "" {
		return nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		return badQuery("wait", "want a time up to %v such as 30s, got %q", maxWait, text)
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	n := catalog.Name{Namespace: a.Metadata.Namespace, Name: a.Spec.Function}
	rev, _ := strconv.ParseInt(a.Metadata.ResourceVersion, 10, 64) // the catalog wrote it
	changes := s.o.Catalog.Watch(ctx, store.Revision(rev))
	for {
		now, err := s.o.Catalog.Alias(r.Context(), n, a.Metadata.Name)
		if errors.Is(err, store.ErrNotFound) || err == nil && now.Status.Observed >= rev {
			return nil
		}
		if err != nil {
			return err
		}
		for c := range changes {
			if c.Name == n && c.Alias == a.Metadata.Name {
				break
			}
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the move stands, and what it waits for is in the answer
		}
	}
}

// rollback moves an alias back to where it was before its last move.
func (s *server) rollback(w http.ResponseWriter, r *http.Request) error {
	res := s.aliases(r)
	object, err := find(res, r)
	if err != nil {
		return err
	}
	v, header, err := version(r, &function.Metadata{})
	if err != nil {
		return err
	}
	m := object.Metadata
	moved, err := s.o.Catalog.Rollback(r.Context(), owner(r), m.Name, v, author(r))
	switch {
	case errors.Is(err, catalog.ErrNoFormer):
		return problem.New(http.StatusConflict, fmt.Sprintf("alias %q of %s cannot go back: %v", m.Name, object.Spec.Function, err))
	case err != nil:
		return conflict(res, err, m, v, header)
	}
	if err := s.awaitEffect(r, moved); err != nil {
		return err
	}
	now, err := find(res, r)
	if err != nil {
		return err
	}
	return s.object(w, r, http.StatusOK, &now.Metadata, now)
}
