package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// bases is a directory of what several tests stand on; pythons is what it has.
var bases, pythons string

func TestMain(m *testing.M) {
	code := m.Run()
	if bases != "" {
		_ = os.RemoveAll(bases)
	}
	os.Exit(code)
}

// pythonBase is a base for Python, which the first test that needs it makes: it takes
// some seconds, and tests of this package run one after the other.
func pythonBase(t *testing.T) string {
	t.Helper()
	if pythons == "" {
		var err error
		if bases, err = os.MkdirTemp("", "myelin-bases-"); err != nil {
			t.Fatal(err)
		}
		place := "oci:" + filepath.Join(bases, "python")
		runs(t, t.TempDir(), "base", "python", "-o", place)
		pythons = place
	}
	return pythons
}
