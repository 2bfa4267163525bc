package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/control/store/storetest"
)

func disk(t *testing.T) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func open(t *testing.T, inner Inner) *Store {
	t.Helper()
	s, err := Open(t.Context(), inner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, disk(t)) })
}

// twin is a sheet that is obvious: a map, sorted at each look.
type twin map[string]store.Entry

func (w twin) span(want store.Span) (out []store.Entry, more int) {
	out = []store.Entry{}
	for _, key := range slices.Sorted(maps.Keys(w)) {
		switch {
		case !strings.HasPrefix(key, want.Prefix) || want.After != "" && key <= want.After:
		case want.Limit > 0 && len(out) == want.Limit:
			more++
		default:
			out = append(out, w[key])
		}
	}
	return out, more
}

// Whatever is put and dropped, a sheet shows what its obvious twin shows.
func TestSheetIsAsItsTwin(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		key := func() string { return fmt.Sprintf("%c/%c%d", 'a'+rune(r.IntN(3)), 'x'+rune(r.IntN(2)), r.IntN(1500)) }
		start := twin{}
		for range r.IntN(3000) {
			k := key()
			start[k] = store.Entry{Key: k}
		}
		all, _ := start.span(store.Span{})
		s, w := newSheet(all), maps.Clone(start)
		for i := range 3000 {
			k := key()
			if r.IntN(5) < int(seed%5) {
				s.drop(k)
				delete(w, k)
			} else {
				e := store.Entry{Key: k, Revision: store.Revision(i)}
				s.put(e)
				w[k] = e
			}
			if i%100 != 0 {
				continue
			}
			want := store.Span{Prefix: []string{"", "a", "a/", "b/x", "b/x1", "c/", "c/y1499", "d", "0"}[r.IntN(9)], Limit: r.IntN(3) * 7}
			if r.IntN(2) == 0 {
				want.After = key()
			}
			got, more := s.span(want)
			expected, left := w.span(want)
			if d := cmp.Diff(expected, got); d != "" || more != left {
				t.Fatalf("seed %d, step %d, %+v: %d more, want %d\n%s", seed, i, want, more, left, d)
			}
			if e, there := s.get(k); there != (w[k].Key != "") || e.Revision != w[k].Revision {
				t.Fatalf("seed %d, step %d: %s is %+v, %v", seed, i, k, e, there)
			}
		}
	}
}

// Many write and read: who has committed reads it at once, what was committed
// together is seen together, and in the end the mirror is the store.
func TestReadYourWrites(t *testing.T) {
	inner := disk(t)
	s := open(t, inner)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 150 {
				n := fmt.Sprint(i)
				key := fmt.Sprintf("w/%d/%03d", w, i)
				rev, err := s.Commit(t.Context(), store.Op{Key: key, Value: []byte(n)}, store.Op{Key: fmt.Sprintf("left/%d", w), Value: []byte(n)}, store.Op{Key: fmt.Sprintf("right/%d", w), Value: []byte(n)})
				if err != nil {
					t.Error(err)
					return
				}
				if e, err := store.Get(t.Context(), s, key); err != nil || e.Revision != rev {
					t.Errorf("%s is at %d after a commit at %d, %v", key, e.Revision, rev, err)
				}
				p, err := s.Range(t.Context(), store.Span{Prefix: fmt.Sprintf("w/%d/", w), After: fmt.Sprintf("w/%d/%03d", w, i-1)})
				if err != nil || len(p.Entries) != 1 || p.Revision < rev {
					t.Errorf("a list after the commit at %d has %d at %d, %v", rev, len(p.Entries), p.Revision, err)
				}
			}
		})
		wg.Go(func() { // one look shows both sides alike
			for range 300 {
				all, _, err := s.List(t.Context(), "")
				if err != nil {
					t.Error(err)
					return
				}
				sides := map[string]store.Revision{}
				for _, e := range all {
					sides[e.Key] = e.Revision
				}
				if l, r := sides[fmt.Sprintf("left/%d", w)], sides[fmt.Sprintf("right/%d", w)]; l != r {
					t.Errorf("half of a commit was seen: left at %d, right at %d", l, r)
				}
			}
		})
	}
	wg.Wait()
	same(t, s, inner)
}

func same(t *testing.T, s, inner store.Store) {
	t.Helper()
	want, rev, err := inner.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	got, at, err := s.List(t.Context(), "")
	if err != nil || at != rev {
		t.Errorf("the mirror is at %d, the store at %d, %v", at, rev, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Who loses a race of compare-and-swap sees what won it.
func TestAfterAConflictTheOtherIsSeen(t *testing.T) {
	s := open(t, disk(t))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for done := 0; done < 40; {
				e, err := store.Get(t.Context(), s, "k")
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
					return
				}
				_, err = s.Commit(t.Context(), store.Op{Key: "k", Value: fmt.Append(nil, len(e.Value)), Check: true, If: e.Revision})
				if errors.Is(err, store.ErrConflict) {
					if now, err := store.Get(t.Context(), s, "k"); err != nil || now.Revision <= e.Revision {
						t.Errorf("a conflict with revision %d, which is at %d, %v", e.Revision, now.Revision, err)
						return
					}
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				done++
			}
		})
	}
	wg.Wait()
}

// gaps is a store whose changes break off when told to, and are silent while
// it is held.
type gaps struct {
	*etcd.Store
	mu   sync.Mutex
	cut  context.CancelFunc
	hold bool
}

func (g *gaps) Follow(ctx context.Context, from store.Revision) <-chan []store.Change {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hold {
		ctx, g.cut = context.WithCancel(ctx)
		out := make(chan []store.Change)
		go func() { <-ctx.Done(); close(out) }()
		return out
	}
	ctx, g.cut = context.WithCancel(ctx)
	return g.Store.Follow(ctx, from)
}

func (g *gaps) breakOff(hold bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hold = hold
	g.cut()
}

// A mirror that missed changes reads everything anew; one that hears nothing
// is gone round.
func TestGapsAreClosed(t *testing.T) {
	g := &gaps{Store: disk(t)}
	s := open(t, g)
	deadline := time.Now().Add(30 * time.Second)
	for g.mu.Lock(); g.cut == nil; g.mu.Lock() { // until it follows
		g.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatal("nobody follows")
		}
		time.Sleep(time.Millisecond)
	}
	g.mu.Unlock()
	for i := range 6 {
		g.breakOff(i%2 == 0)
		key := fmt.Sprint("k/", i)
		for _, op := range []store.Op{{Key: key, Value: []byte("1")}, {Key: fmt.Sprint("k/", i-2)}} {
			if _, err := s.Commit(t.Context(), op); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.Get(t.Context(), s, key); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if es, _, err := s.List(t.Context(), "k/"); err != nil || len(es) != min(i+1, 2) {
			t.Errorf("%d entries, %v", len(es), err)
		}
	}
	g.breakOff(false)
	same(t, s, g.Store)
}
