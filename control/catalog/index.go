package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/myelin-run/myelin/control/store"
)

// Part says which of the objects of a kind are wanted.
type Part struct {
	Namespace string // "": all
	After     string // namespace/name of the one before the first; "": none
	Limit     int
}

// Listed is a part of the objects of a kind, in the order of their keys. Their
// maps and lists are not to be changed.
type Listed[T any] struct {
	Items    []T
	More     int            // how many there are behind the last one
	Revision store.Revision // a watch from here misses nothing
}

// index reads the objects of a kind that lie side by side in the store, and
// keeps each as it was read: one that is at the same revisions is not read again.
type index[T any] struct {
	s               store.Store
	specs, statuses string // prefixes
	decode          func(store.Entry) (T, error)
	status          func(*T) any // where a status is decoded to

	mu   sync.Mutex
	read map[string]parsed[T] // by the rest of the key
}

type parsed[T any] struct {
	spec, status store.Revision
	object       T
}

func below(namespace string) string {
	if namespace == "" {
		return ""
	}
	return namespace + "/"
}

// list returns all objects of a namespace, "" for all. What the store gives
// bare, as one that is sealed can, is opened only if it is new.
func (x *index[T]) list(ctx context.Context, namespace string) ([]T, store.Revision, error) {
	found, err := store.Range(ctx, x.s, store.Span{Prefix: x.specs + below(namespace), Bare: true})
	if err != nil {
		return nil, 0, err
	}
	stats, err := store.Range(ctx, x.s, store.Span{Prefix: x.statuses + below(namespace), Bare: true})
	if err != nil {
		return nil, 0, err
	}
	out := make([]T, 0, len(found.Entries))
	at := stats.Entries // in the same order
	for _, e := range found.Entries {
		key := e.Key[len(x.specs):]
		for len(at) > 0 && at[0].Key[len(x.statuses):] < key {
			at = at[1:]
		}
		var st store.Entry
		if len(at) > 0 && at[0].Key[len(x.statuses):] == key {
			st = at[0]
		}
		object, err := x.object(ctx, e, st)
		if errors.Is(err, store.ErrNotFound) {
			continue // it went meanwhile
		}
		if err != nil {
			return nil, 0, err
		}
		out = append(out, object)
	}
	if namespace == "" {
		x.forget(len(out))
	}
	return out, found.Revision, nil
}

// page returns a part.
func (x *index[T]) page(ctx context.Context, p Part) (out Listed[T], err error) {
	span := store.Span{Prefix: x.specs + below(p.Namespace), Limit: p.Limit, Bare: true}
	if p.After != "" {
		span.After = x.specs + p.After
	}
	found, err := store.Range(ctx, x.s, span)
	if err != nil {
		return out, err
	}
	out.More, out.Revision = found.More, found.Revision
	for _, e := range found.Entries {
		st, err := store.Get(ctx, x.s, x.statuses+e.Key[len(x.specs):])
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
		object, err := x.object(ctx, e, st)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, object)
	}
	if n := len(found.Entries); len(out.Items) == 0 && out.More > 0 && n > 0 { // all of them went meanwhile
		p.After = found.Entries[n-1].Key[len(x.specs):]
		return x.page(ctx, p)
	}
	return out, nil
}

// object reads an object, or takes it as it was read before. Entries without a
// value were not opened.
func (x *index[T]) object(ctx context.Context, e, status store.Entry) (object T, err error) {
	key := e.Key[len(x.specs):]
	x.mu.Lock()
	p, ok := x.read[key]
	x.mu.Unlock()
	if ok && p.spec == e.Revision && p.status == status.Revision {
		return p.object, nil
	}
	if e.Value == nil {
		if e, err = store.Get(ctx, x.s, e.Key); err != nil {
			return object, err
		}
	}
	if status.Key != "" && status.Value == nil {
		if status, err = store.Get(ctx, x.s, status.Key); err != nil && !errors.Is(err, store.ErrNotFound) {
			return object, err
		}
	}
	if object, err = x.decode(e); err != nil {
		return object, err
	}
	if status.Value != nil {
		if err := json.Unmarshal(status.Value, x.status(&object)); err != nil {
			return object, fmt.Errorf("read status of %s: %w", strings.TrimSuffix(e.Key, "/"), err)
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.read == nil {
		x.read = map[string]parsed[T]{}
	}
	x.read[key] = parsed[T]{e.Revision, status.Revision, object}
	return object, nil
}

// forget lets go of what was read, if there is more of it than there are objects.
func (x *index[T]) forget(objects int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.read) > objects {
		clear(x.read)
	}
}

// drop lets go of one object that is no more.
func (x *index[T]) drop(n Name) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.read, n.path())
}
