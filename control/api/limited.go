package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
)

// limited returns res as a caller may use it: of what is not in a project of
// theirs they hear nothing, and writing needs the operation's role both in the
// project that the object is in and in the one that it is to be in.
func limited[T any](res resource[T], operation string, project func(*T) string) resource[T] {
	l := limits[T]{all: res, rule: access.Rules()[operation], operation: operation, project: project}
	res.list, res.get, res.put = l.list, l.get, l.put
	return res
}

type limits[T any] struct {
	all       resource[T]
	rule      access.Rule // of writing
	operation string
	project   func(*T) string
}

func (l *limits[T]) sees(ctx context.Context, object *T) bool {
	return access.From(ctx).Sees(l.all.meta(object).Namespace, l.project(object))
}

func (l *limits[T]) list(ctx context.Context, namespace string) ([]T, store.Revision, error) {
	all, rev, err := l.all.list(ctx, namespace)
	if access.From(ctx).Sees(or(namespace, access.All), access.All) {
		return all, rev, err
	}
	return slices.DeleteFunc(all, func(object T) bool { return !l.sees(ctx, &object) }), rev, err
}

func (l *limits[T]) get(ctx context.Context, n catalog.Name) (T, error) {
	object, err := l.all.get(ctx, n)
	if err == nil && !l.sees(ctx, &object) {
		var none T
		return none, store.ErrNotFound
	}
	return object, err
}

func (l *limits[T]) put(ctx context.Context, object T, version string) error {
	c, m := access.From(ctx), l.all.meta(&object)
	if l.rule.Allows(c, m.Namespace, access.All) {
		return l.all.put(ctx, object, version)
	}
	if p := l.project(&object); !l.rule.Allows(c, m.Namespace, p) {
		return problem.New(http.StatusForbidden, fmt.Sprintf("you may not: %s needs the role %s in project %q", l.operation, l.rule.Least, p))
	}
	old, err := l.all.get(ctx, catalog.Name{Namespace: m.Namespace, Name: m.Name})
	switch {
	case errors.Is(err, store.ErrNotFound):
		version = or(version, "0")
	case err != nil:
		return err
	case !l.rule.Allows(c, m.Namespace, l.project(&old)):
		return problem.New(http.StatusConflict, fmt.Sprintf("the name %q is taken in namespace %s", m.Name, m.Namespace))
	default:
		// What was looked at is what is replaced.
		version = or(version, l.all.meta(&old).ResourceVersion)
	}
	return l.all.put(ctx, object, version)
}

// partial tells whether a caller sees a part of a namespace only.
func partial(r *http.Request) bool {
	return !access.From(r.Context()).Sees(or(everywhere(namespace(r)), access.All), access.All)
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
