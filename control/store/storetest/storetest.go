// Package storetest is the suite that every store of the control plane passes.
// It knows no store.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/control/store"
)

// Run tests the stores that open makes, each of them empty.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(context.Context, *testing.T, store.Store){
		"ListIsOrderedAndByPrefix":     listed,
		"ChecksDecide":                 checked,
		"AllOrNothing":                 atomic,
		"OneOfManyWins":                contended,
		"WatchMissesNothing":           watched,
		"WatchResumes":                 resumed,
		"WatchEndsWithItsContext":      watchEnds,
		"BadOperationsAreErrors":       bad,
		"EmptyValueIsNotAbsent":        emptyValue,
		"DeleteOfNothingSucceeds":      deleteNothing,
		"GetFindsTheExactKey":          exact,
		"RevisionsGrowWithEveryCommit": grow,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			test(ctx, t, open(t))
		})
	}
}

func put(key, value string) store.Op { return store.Op{Key: key, Value: []byte(value)} }

func create(key, value string) store.Op {
	return store.Op{Key: key, Value: []byte(value), Check: true}
}

func must(ctx context.Context, t *testing.T, s store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	rev, err := s.Commit(ctx, ops...)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return rev
}

func keys(ctx context.Context, t *testing.T, s store.Store, prefix string) []string {
	t.Helper()
	es, _, err := s.List(ctx, prefix)
	if err != nil {
		t.Fatalf("list: %v", err)
	}
	out := []string{}
	for _, e := range es {
		out = append(out, e.Key+"="+string(e.Value))
	}
	return out
}

func listed(ctx context.Context, t *testing.T, s store.Store) {
	must(ctx, t, s, put("b/2", "y"), put("a/1", "x"), put("b/1", "z"), put("bb", "w"))
	if d := cmp.Diff([]string{"b/1=z", "b/2=y"}, keys(ctx, t, s, "b/")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"a/1=x", "b/1=z", "b/2=y", "bb=w"}, keys(ctx, t, s, "")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{}, keys(ctx, t, s, "c/")); d != "" {
		t.Error(d)
	}
}

func checked(ctx context.Context, t *testing.T, s store.Store) {
	rev := must(ctx, t, s, create("k", "1"))
	for _, op := range []store.Op{create("k", "2"), {Key: "k", Value: []byte("2"), Check: true, If: rev + 7}, {Key: "k", Check: true, If: rev - 1}} {
		if _, err := s.Commit(ctx, op); !errors.Is(err, store.ErrConflict) {
			t.Errorf("commit %+v: %v, want a conflict", op, err)
		}
	}
	rev = must(ctx, t, s, store.Op{Key: "k", Value: []byte("2"), Check: true, If: rev})
	must(ctx, t, s, store.Op{Key: "k", Check: true, If: rev})
	must(ctx, t, s, create("k", "3"))
}

func atomic(ctx context.Context, t *testing.T, s store.Store) {
	must(ctx, t, s, put("held", "1"))
	if _, err := s.Commit(ctx, put("new", "1"), create("held", "2")); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("got %v, want a conflict", err)
	}
	if d := cmp.Diff([]string{"held=1"}, keys(ctx, t, s, "")); d != "" {
		t.Error(d)
	}
}

func contended(ctx context.Context, t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	won := make(chan int, 16)
	for i := range 16 {
		wg.Go(func() {
			_, err := s.Commit(ctx, create("k", fmt.Sprint(i)))
			if err == nil {
				won <- i
			} else if !errors.Is(err, store.ErrConflict) {
				t.Errorf("commit: %v", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d won, want 1", len(won))
	}
	if d := cmp.Diff([]string{fmt.Sprintf("k=%d", <-won)}, keys(ctx, t, s, "k")); d != "" {
		t.Error(d)
	}
}

func bad(ctx context.Context, t *testing.T, s store.Store) {
	for name, op := range map[string]store.Op{"empty key": put("", "x"), "large value": put("k", strings.Repeat("x", 1<<20+1))} {
		if _, err := s.Commit(ctx, op); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	must(ctx, t, s, put("k", strings.Repeat("x", 1<<20)))
}

func emptyValue(ctx context.Context, t *testing.T, s store.Store) {
	must(ctx, t, s, store.Op{Key: "k", Value: []byte{}})
	if _, err := store.Get(ctx, s, "k"); err != nil {
		t.Errorf("get: %v", err)
	}
}

func deleteNothing(ctx context.Context, t *testing.T, s store.Store) {
	must(ctx, t, s, store.Op{Key: "never"})
}

func exact(ctx context.Context, t *testing.T, s store.Store) {
	must(ctx, t, s, put("ab", "1"))
	if _, err := store.Get(ctx, s, "a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get: %v, want not found", err)
	}
}

func grow(ctx context.Context, t *testing.T, s store.Store) {
	var last store.Revision
	for i := range 10 {
		rev := must(ctx, t, s, put("k", fmt.Sprint(i)))
		e, err := store.Get(ctx, s, "k")
		if err != nil || rev <= last || e.Revision != rev {
			t.Fatalf("commit %d: revision %d after %d, entry %+v, %v", i, rev, last, e, err)
		}
		last = rev
	}
}
