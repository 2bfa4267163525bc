// Package store defines how the control plane keeps its objects: as bytes
// under keys, changed by compare-and-swap, and watched. It holds the contract
// only; storetest is the suite that every store passes.
package store

import (
	"context"
	"errors"
)

// Revision orders all changes of a store. It only grows.
type Revision int64

// Entry is one key with its value.
type Entry struct {
	Key      string // "functions/default/hello"; segments by "/"
	Value    []byte // at most 1 MiB; of what a store returns not to be changed
	Revision Revision
}

// Op is one change. Put if Value is not nil, else delete. If Check is set the
// key must be at revision If (0: must not exist).
type Op struct {
	Key   string
	Value []byte
	Check bool
	If    Revision
}

// Change is an Op that happened; Value is nil for a delete.
type Change = Entry

// Store keeps entries. What Commit acknowledged survives the death of the
// process and of the machine.
type Store interface {
	// List returns the entries whose keys start with prefix, in order, and
	// the revision at which all of that was true. An exact key is its own
	// prefix; ask [Get] for one entry.
	List(ctx context.Context, prefix string) ([]Entry, Revision, error)
	// Commit does all of ops or none. ErrConflict: a check failed.
	Commit(ctx context.Context, ops ...Op) (Revision, error)
	// Watch sends every change under prefix after revision from, in order,
	// until ctx is done; then, or when the store cannot go on from there, the
	// channel is closed: list again.
	Watch(ctx context.Context, prefix string, from Revision) <-chan Change
}

var (
	// ErrConflict says that a checked key was at another revision.
	ErrConflict = errors.New("changed by somebody else")
	// ErrFull says that there is no room left for what was to be stored.
	ErrFull = errors.New("no room left")
	// ErrNotFound says that there is no such key.
	ErrNotFound = errors.New("not found")
)

// Getter is a store that finds one entry without looking at its neighbours.
// Optional: [Get] asks for it.
type Getter interface {
	// Get returns the entry of exactly key. ErrNotFound: there is none.
	Get(ctx context.Context, key string) (Entry, error)
}

// Ranger is a store that reads a part of the keys without the rest. Optional:
// [Range] asks for it.
type Ranger interface {
	Range(ctx context.Context, s Span) (Page, error)
}

// Follower is a store whose changes can be had commit by commit. Optional.
type Follower interface {
	// Follow is Watch of all keys, but each element holds whole commits: what
	// was committed together is never divided.
	Follow(ctx context.Context, from Revision) <-chan []Change
}

// Span says which part of the keys is wanted.
type Span struct {
	Prefix string
	After  string // only keys greater than this one; "": all
	Limit  int    // at most so many; 0: all
	// Bare leaves values out where that saves work; keys and revisions are
	// there.
	Bare bool
}

// Page is a part of the entries, in order.
type Page struct {
	Entries  []Entry
	More     int      // how many of the span lie behind the last one
	Revision Revision // at which all of this was true
}

// Get returns the entry of exactly key.
func Get(ctx context.Context, s Store, key string) (Entry, error) {
	if g, ok := s.(Getter); ok {
		return g.Get(ctx, key)
	}
	es, _, err := s.List(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	for _, e := range es {
		if e.Key == key {
			return e, nil
		}
	}
	return Entry{}, ErrNotFound
}

// Range returns the entries of a span, by [Ranger] or else by a list of all.
func Range(ctx context.Context, s Store, span Span) (Page, error) {
	if r, ok := s.(Ranger); ok {
		return r.Range(ctx, span)
	}
	all, rev, err := s.List(ctx, span.Prefix)
	if err != nil {
		return Page{}, err
	}
	for len(all) > 0 && span.After != "" && all[0].Key <= span.After {
		all = all[1:]
	}
	p := Page{Entries: all, Revision: rev}
	if span.Limit > 0 && len(all) > span.Limit {
		p.Entries, p.More = all[:span.Limit], len(all)-span.Limit
	}
	return p, nil
}
