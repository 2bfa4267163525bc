package artefact

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
)

const someDigest = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

var hello = function.Config{Metadata: function.Metadata{Name: "hello"}, Spec: function.Spec{Runtime: "python"}}

// fill writes a file with another mode than the one it should end with.
func fill(out string) (build.Result, error) {
	if err := os.Mkdir(filepath.Join(out, "src"), 0o700); err != nil {
		return build.Result{}, err
	}
	err := os.WriteFile(filepath.Join(out, "src", "hello.py"), []byte("x"), 0o600)
	return build.Result{}, errors.Join(err, os.WriteFile(filepath.Join(out, "hello"), nil, 0o700))
}

func TestMakeOnceForAllToRead(t *testing.T) {
	s := New(t.TempDir())
	a, cached, err := s.Make(someDigest, hello, fill)
	if err != nil || cached || a.Digest != someDigest || a.Runtime != "python" || a.Config.Metadata.Name != "hello" {
		t.Fatal(a, cached, err)
	}
	for path, mode := range map[string]fs.FileMode{"": 0o755, "src": 0o755, "src/hello.py": 0o644, "hello": 0o755, metaFile: 0o644, FunctionFile: 0o644} {
		if fi, err := os.Stat(filepath.Join(a.Dir, path)); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, fi.Mode(), err)
		}
	}
	_, cached, err = s.Make(someDigest, hello, func(string) (build.Result, error) {
		t.Error("made again")
		return build.Result{}, nil
	})
	if err != nil || !cached {
		t.Error(cached, err)
	}
	onlyDigests(t, s, 1)
}

// onlyDigests checks that nothing but want artefacts is left in the store.
func onlyDigests(t *testing.T, s *Store, want int) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !digestForm.MatchString(e.Name()) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
	if len(entries) != want {
		t.Errorf("%d entries, want %d", len(entries), want)
	}
}

func TestManyAtOnce(t *testing.T) {
	s := New(t.TempDir())
	var wg sync.WaitGroup
	for i := range 16 {
		digest := strings.Repeat("ab", 31) + []string{"00", "11"}[i%2]
		wg.Go(func() {
			a, _, err := s.Make(digest, hello, fill)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(a.Dir, "src", "hello.py")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	onlyDigests(t, s, 2)
}

func TestDamagedIsMadeAgain(t *testing.T) {
	s := New(t.TempDir())
	program := func(out string) (build.Result, error) {
		return build.Result{Command: []string{"./hello"}}, os.WriteFile(filepath.Join(out, "hello"), nil, 0o755)
	}
	for _, damage := range []func(dir string) error{
		func(dir string) error { return os.Remove(filepath.Join(dir, metaFile)) },
		func(dir string) error { return os.WriteFile(filepath.Join(dir, metaFile), []byte("{"), 0o644) },
		func(dir string) error { return os.Remove(filepath.Join(dir, "hello")) },
		func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o644)) },
	} {
		a, _, err := s.Make(someDigest, hello, program)
		if err != nil {
			t.Fatal(err)
		}
		if err := damage(a.Dir); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(someDigest); err == nil {
			t.Error("a damaged artefact is returned")
		}
		if _, cached, err := s.Make(someDigest, hello, program); err != nil || cached {
			t.Error(cached, err)
		}
		onlyDigests(t, s, 1)
	}
}

func TestFullDiskLeavesNothing(t *testing.T) {
	s := New(t.TempDir())
	_, _, err := s.Make(someDigest, hello, func(out string) (build.Result, error) {
		return build.Result{}, errors.Join(os.WriteFile(filepath.Join(out, "half"), nil, 0o644), &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC})
	})
	if err == nil || !strings.Contains(err.Error(), "is full") {
		t.Error(err)
	}
	onlyDigests(t, s, 0)
}

func TestCollect(t *testing.T) {
	s := New(t.TempDir())
	old := time.Now().Add(-time.Hour)
	digests := map[string]bool{}
	for _, end := range []string{"kept", "gone", "used"} {
		digest := digestOf(t, end)
		a, _, err := s.Make(digest, hello, fill)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(a.Dir, old, old); err != nil {
			t.Fatal(err)
		}
		digests[end] = false
	}
	if _, cached, err := s.Make(digestOf(t, "used"), hello, fill); err != nil || !cached {
		t.Fatal(cached, err)
	}
	dead := filepath.Join(s.dir, tempPrefix+"dead")
	if err := errors.Join(os.Mkdir(dead, 0o755), os.Chtimes(dead, old, old)); err != nil {
		t.Fatal(err)
	}
	held, release, err := temp(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(held, old, old); err != nil {
		t.Fatal(err)
	}
	if err := s.Collect(func(digest string) bool { return digest == digestOf(t, "kept") }); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(held); err != nil {
		t.Error("the directory of a build that runs is gone")
	}
	release()
	for end, want := range map[string]bool{"kept": true, "used": true, "gone": false} {
		if _, err := s.Get(digestOf(t, end)); (err == nil) != want {
			t.Errorf("%s: %v", end, err)
		}
	}
	onlyDigests(t, s, 2)
}

func TestExpire(t *testing.T) {
	parent := t.TempDir()
	old := time.Now().Add(-2 * time.Hour)
	there := func(dir string) bool { _, err := os.Stat(dir); return err == nil }
	place := func(name string) (string, bool) {
		t.Helper()
		dir, made, err := Place(parent, name, there, func(string) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return dir, made
	}
	for _, name := range []string{"used", "unused"} {
		dir, _ := place(name)
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	place("used")
	if err := errors.Join(Expire(parent, time.Hour), Expire(filepath.Join(parent, "none"), 0)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"used": false, "unused": true} {
		if _, made := place(name); made != want {
			t.Errorf("%s was made again: %t", name, made)
		}
	}
}

// digestOf makes a digest of a word.
func digestOf(t *testing.T, word string) string {
	t.Helper()
	d, err := Digest(t.TempDir(), function.Config{}, []string{word})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDigestTellsApart(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]string{}
	see := func(what string, cfg function.Config, inputs ...string) {
		t.Helper()
		d, err := Digest(dir, Portable(cfg), inputs)
		if err != nil {
			t.Fatal(err)
		}
		if was, twice := seen[d]; twice {
			t.Errorf("%s is the same as %s", what, was)
		}
		seen[d] = what
	}
	see("nothing", function.Config{})
	see("input", function.Config{}, "ab")
	see("inputs", function.Config{}, "a", "b")
	see("handler", function.Config{Spec: function.Spec{Handler: "x:y"}})
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	see("file", function.Config{})
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	see("executable", function.Config{})
	if err := os.Rename(path, filepath.Join(dir, "g")); err != nil {
		t.Fatal(err)
	}
	see("renamed", function.Config{})
}

// What an artefact carries has no secret in it, and does not depend on scale.
func TestPortable(t *testing.T) {
	cfg := hello
	cfg.Spec.Triggers = map[string]function.Trigger{"q": {Kind: "nats", Password: "p", Secret: "s"}}
	cfg.Spec.Replicas = new(3)
	cfg.Spec.Build = function.Build{Path: "https://me:pw@x/y", CodeEntryAttributes: []byte(`{"password":"pw"}`), Dependencies: []string{"d"}}
	got := Portable(cfg)
	if tr := got.Spec.Triggers["q"]; tr.Password != "" || tr.Secret != "" || tr.Kind != "nats" {
		t.Errorf("trigger %+v", tr)
	}
	if b := got.Spec.Build; got.Spec.Replicas != nil || b.Path != "" || b.CodeEntryAttributes != nil || len(b.Dependencies) != 1 {
		t.Errorf("spec %+v", got.Spec)
	}
	if cfg.Spec.Triggers["q"].Password != "p" {
		t.Error("the original is changed")
	}
}
