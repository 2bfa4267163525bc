package sealed_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/control/store/sealed"
	"github.com/myelin-run/myelin/control/store/storetest"
)

func inner(t *testing.T, dir string) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: dir, Wrapping: sealed.Wrapping})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s *etcd.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func keys(t *testing.T, path string) *sealed.Keys {
	t.Helper()
	k, err := sealed.LoadKeys(path, true)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func open(t *testing.T, s store.Store, k *sealed.Keys) *sealed.Store {
	t.Helper()
	out, err := sealed.Open(t.Context(), s, k)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSealedStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		dir := t.TempDir()
		s := inner(t, dir)
		t.Cleanup(func() { closed(t, s) })
		return open(t, s, keys(t, filepath.Join(dir, "keys")))
	})
}

const word = "correct-horse-battery"

// holds tells which files below dir have text in them.
func holds(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What is stored is in no file in clear, and a key is of use to its entry only.
func TestNothingInClear(t *testing.T) {
	dir := t.TempDir()
	raw := inner(t, dir)
	s := open(t, raw, keys(t, filepath.Join(dir, "keys")))
	for _, key := range []string{"functions/a/b", "functions/a/c"} {
		if _, err := s.Commit(t.Context(), store.Op{Key: key, Value: []byte(`{"password":"` + word + `"}`)}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := store.Get(t.Context(), raw, "functions/a/b")
	if err != nil || bytes.Contains(e.Value, []byte(word)) {
		t.Fatalf("in the store below: %q, %v", e.Value, err)
	}
	if _, err := raw.Commit(t.Context(), store.Op{Key: "functions/a/c", Value: e.Value}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), s, "functions/a/c"); err == nil || strings.Contains(err.Error(), word) {
		t.Fatalf("another entry's value was opened: %v", err)
	}
	closed(t, raw)
	if found := holds(t, dir, word); len(found) > 0 {
		t.Fatalf("in clear in %v", found)
	}
}

// What was stored in clear is sealed when the store is opened, and an older
// key is not needed after a rotation.
func TestSealsWhatIsThereAndRotates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	raw := inner(t, dir)
	defer func() { closed(t, raw) }()
	const n = 150
	for i := range n {
		key := "functions/ns/f" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		if _, err := raw.Commit(t.Context(), store.Op{Key: key, Value: []byte(word)}); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, raw, keys(t, path))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(s store.Store) {
		t.Helper()
		clear, _, err := s.List(t.Context(), "functions/")
		if err != nil || len(clear) != n {
			t.Fatalf("%d entries, %v", len(clear), err)
		}
		below, _, err := raw.List(t.Context(), "functions/")
		if err != nil {
			t.Fatal(err)
		}
		for i := range clear {
			if string(clear[i].Value) != word || bytes.Contains(below[i].Value, []byte(word)) {
				t.Fatalf("%s is %q, below %q", clear[i].Key, clear[i].Value, below[i].Value)
			}
		}
	}
	check(s)
	if id, err := s.Rotate(t.Context()); err != nil || id == "" {
		t.Fatalf("rotate: %q, %v", id, err)
	}
	check(s)
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var newest []string
	for line := range strings.Lines(string(after)) {
		if strings.HasPrefix(line, "myelin-key-1") {
			newest = append(newest, line)
		}
	}
	only := filepath.Join(t.TempDir(), "newest")
	if err := os.WriteFile(only, []byte(newest[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	check(open(t, raw, keys(t, only)))
	former := filepath.Join(t.TempDir(), "former")
	if err := os.WriteFile(former, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.Open(t.Context(), raw, keys(t, former)); err == nil || !strings.Contains(err.Error(), "which is not in") {
		t.Fatalf("the former key alone: %v", err)
	}
}

// A rotation that was cut short loses nothing, however often.
func TestRotationCutShort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	raw := inner(t, dir)
	defer func() { closed(t, raw) }()
	s := open(t, raw, keys(t, path))
	if _, err := s.Commit(t.Context(), store.Op{Key: "functions/a/b", Value: []byte(word)}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		k := keys(t, path)
		if _, err := k.Add(); err != nil { // and nothing is sealed with it
			t.Fatal(err)
		}
		s := open(t, raw, keys(t, path))
		if _, err := s.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	e, err := store.Get(t.Context(), open(t, raw, keys(t, path)), "functions/a/b")
	if err != nil || string(e.Value) != word {
		t.Fatalf("%q, %v", e.Value, err)
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	if _, err := sealed.LoadKeys(path, false); err == nil {
		t.Error("no file is no error")
	}
	keys(t, path)
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", st.Mode(), err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":   {"# nothing\n", "no key"},
		"garbage": {"hello\n", "line 1 is no key"},
		"short":   {"myelin-key-1 00000000 aGVsbG8=\n", "not 32 bytes"},
		"changed": {strings.Replace(string(good), "myelin-key-1 ", "myelin-key-1 0", 1), "does not fit"},
	} {
		bad := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(bad, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sealed.LoadKeys(bad, true); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.LoadKeys(path, true); err == nil || !strings.Contains(err.Error(), "may be read by others") {
		t.Errorf("readable by all: %v", err)
	}
}

// A watch gives what was written, and ends with its context.
func TestSealedWatchEnds(t *testing.T) {
	dir := t.TempDir()
	raw := inner(t, dir)
	defer func() { closed(t, raw) }()
	s := open(t, raw, keys(t, filepath.Join(dir, "keys")))
	_, rev, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes := s.Watch(ctx, "functions/", rev)
	if _, err := s.Commit(t.Context(), store.Op{Key: "functions/a/b", Value: []byte(word)}); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; string(c.Value) != word {
		t.Fatalf("watched %q", c.Value)
	}
	cancel()
	for range changes { // until it is closed
	}
}
