package seen

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Seen = (*Store)(nil)

const window = time.Minute

func (s *Store) has(t *testing.T, name, id string) bool {
	t.Helper()
	ok, err := s.Has(t.Context(), name, []byte(id), window)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func (s *Store) mark(t *testing.T, name, id string) {
	t.Helper()
	if err := s.Mark(t.Context(), name, []byte(id), window); err != nil {
		t.Fatal(err)
	}
}

func at(t *testing.T, dir string, now *time.Time) *Store {
	s := New(dir)
	s.now = func() time.Time { return *now }
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// What is marked is known, by trigger, to this store, to one beside it and to
// one after it.
func TestKnown(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "new"), time.Now()
	a, b := at(t, dir, &now), at(t, dir, &now)
	if a.has(t, "in", "1") || b.has(t, "in", "1") {
		t.Error("nothing was marked")
	}
	a.mark(t, "in", "1")
	b.mark(t, "in", "2")
	for _, s := range []*Store{a, b, at(t, dir, &now)} {
		if !s.has(t, "in", "1") || !s.has(t, "in", "2") || s.has(t, "in", "3") || s.has(t, "other", "1") {
			t.Error("one store does not know what another has marked")
		}
	}
}

// An id is known for the window at least, and not for ever; nor are its files.
func TestWindow(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	s := at(t, dir, &now)
	s.mark(t, "in", "1")
	now = now.Add(window - time.Second)
	if !s.has(t, "in", "1") {
		t.Error("forgotten within the window")
	}
	now = now.Add(2 * window)
	if s.has(t, "in", "1") {
		t.Error("known after twice the window")
	}
	at(t, dir, &now).mark(t, "in", "2")
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("%d files are left, want 2", len(files))
	}
}

func TestMany(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	stores := []*Store{at(t, dir, &now), at(t, dir, &now)}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 200 {
				stores[i%2].mark(t, "in", fmt.Sprint(i, "-", n))
			}
		})
	}
	wg.Wait()
	for i := range 8 {
		for n := range 200 {
			if id := fmt.Sprint(i, "-", n); !stores[0].has(t, "in", id) || !stores[1].has(t, "in", id) {
				t.Fatalf("%s is not known", id)
			}
		}
	}
}

// What cannot be kept is an error, and a part of an id at the end is none.
func TestFaults(t *testing.T) {
	now := time.Now()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := at(t, file, &now).Mark(t.Context(), "in", []byte("1"), window); err == nil {
		t.Error("kept in a file instead of a directory")
	}
	dir := t.TempDir()
	s := at(t, dir, &now)
	if s.Mark(t.Context(), "in", []byte("1"), 0) == nil {
		t.Error("kept for no time")
	}
	s.mark(t, "in", "1")
	for _, f := range s.files {
		if _, err := f.f.Write([]byte("part")); err != nil {
			t.Fatal(err)
		}
	}
	if !at(t, dir, &now).has(t, "in", "1") {
		t.Error("a part of an id spoils those before it")
	}
}
