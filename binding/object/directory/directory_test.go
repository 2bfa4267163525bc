package directory_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/object/directory"
)

func build(t *testing.T, dir string) binding.Binding {
	t.Helper()
	b, err := directory.Factory().New(binding.Settings{Name: "files", Dir: dir, Log: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSuite(t *testing.T) {
	dir := t.TempDir()
	bindingtest.Object(t, func(t *testing.T) binding.Binding { return build(t, dir) })
}

// Links that somebody laid in the directory do not lead out of it, and what is
// no plain file is no object.
func TestJail(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := data.NewObject(bindingtest.Opened(t, build(t, dir)).(data.ObjectStore), nil)
	for name, target := range map[string]string{"link": outside, "up": "../..", "dir": filepath.Dir(outside)} {
		if err := os.Symlink(target, filepath.Join(dir, "files", name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link", "up", "dir/outside", "up/x", ".myelin/lock"} {
		if content, _, err := o.Get(t.Context(), name); err == nil {
			t.Errorf("%s is read: %q", name, content)
		}
	}
	for _, name := range []string{"dir/new", "up/new", ".myelin/types/x"} {
		if _, err := o.Put(t.Context(), name, []byte("x"), data.PutObject{}); err == nil {
			t.Errorf("%s is written", name)
		}
	}
	if _, err := o.Put(t.Context(), "a/b", nil, data.PutObject{}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Put(t.Context(), "a", nil, data.PutObject{}); !errors.Is(err, data.Conflict) {
		t.Errorf("an object where others are below: %v", err)
	}
	if _, _, err := o.Get(t.Context(), "a"); !errors.Is(err, data.NotFound) {
		t.Errorf("a directory: %v", err)
	}
	if infos, err := o.List(t.Context(), "", "", 0); err != nil || len(infos) != 1 {
		t.Errorf("%+v, %v", infos, err)
	}
}
