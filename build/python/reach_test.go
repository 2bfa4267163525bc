package python

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestOpenToAll(t *testing.T) {
	if !openToAll("/bin/sh") {
		t.Error("/bin/sh is for all")
	}
	dir := filepath.Join(t.TempDir(), "home")
	hidden := filepath.Join(dir, "python3")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(hidden, nil, 0o755)); err != nil {
		t.Fatal(err)
	}
	if openToAll(hidden) || openToAll(filepath.Join(dir, "none")) {
		t.Error("a program in a closed directory is for all")
	}
}

// Root takes an interpreter that others can run, if there is one of the
// version; others take what they find.
func TestFindForOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	hidden := filepath.Join(dir, "python3")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(hidden, nil, 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	b := New(Options{Find: func(_ context.Context, wanted string) (string, string, error) {
		if filepath.IsAbs(wanted) {
			return wanted, "3.9.1", nil
		}
		return hidden, "3.11.0", nil
	}})
	for wanted, other := range map[string]bool{"": true, "3.9": true, "3.11": false, hidden: false} {
		path, _, err := b.find(t.Context(), wanted)
		isOther := path != hidden
		if err != nil || isOther != (other && os.Geteuid() == 0 && len(candidates(wanted)) > 0) {
			t.Errorf("%q: %s %v", wanted, path, err)
		}
	}
}
