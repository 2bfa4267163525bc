package cli

import (
	"os"
	"path/filepath"
	"testing"
)

// Root's programs in a private directory are copied to where functions may run
// them, once; others are taken as they lie.
func TestReachable(t *testing.T) {
	private, data := filepath.Join(t.TempDir(), "private"), t.TempDir()
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(private, "program")
	if err := os.WriteFile(program, []byte("#!/bin/true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	got, err := reachable(data, program)
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if got != program {
			t.Errorf("a user's program moved to %s", got)
		}
		return
	}
	info, err := os.Stat(got)
	if err != nil || got == program || info.Mode().Perm() != 0o755 {
		t.Errorf("%s %v %v", got, info, err)
	}
	if again, err := reachable(data, program); err != nil || again != got {
		t.Errorf("again: %s %v", again, err)
	}
	if shell, err := reachable(data, "/bin/sh"); err != nil || shell != "/bin/sh" {
		t.Errorf("%s %v", shell, err)
	}
}
