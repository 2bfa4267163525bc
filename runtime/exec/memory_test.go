package exec

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/quantity"
)

// eater is a shell that uses as much memory as it is told, in one string.
func eater(t *testing.T, bytes string, m *Memory) *Process {
	t.Helper()
	p, err := Start(Spec{Path: "/bin/sh", Args: []string{"-c", "x=$(head -c " + bytes + " /dev/zero | tr '\\0' x); exit 7"}, Env: []string{"PATH=" + os.Getenv("PATH")}, Memory: m})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	return p
}

func TestGroupsEndWhoNeedsMore(t *testing.T) {
	m := NewMemory(32<<20, slog.New(slog.DiscardHandler))
	if !m.Groups() {
		t.Skip("this machine lets nobody make control groups")
	}
	if p := eater(t, "1000", m); p.OutOfMemory() || p.State().ExitCode() != 7 {
		t.Errorf("one that needs little: %s", p.State())
	}
	if p := eater(t, "200000000", m); !p.OutOfMemory() {
		t.Errorf("one that needs more: %s", p.State())
	}
	if left, err := filepath.Glob(filepath.Join(m.parent.dir, "worker-*")); err != nil || len(left) > 0 {
		t.Errorf("groups left: %v, %v", left, err)
	}
}

func TestResourceLimitHolds(t *testing.T) {
	m := NewMemory(32<<20, slog.New(slog.DiscardHandler))
	m.WithoutGroups()
	if p := eater(t, "1000", m); p.State().ExitCode() != 7 {
		t.Errorf("one that needs little: %s", p.State())
	}
	if p := eater(t, "200000000", m); p.State().ExitCode() == 7 {
		t.Error("one used more than its limit")
	}
}

func TestNoLimit(t *testing.T) {
	if m := NewMemory(0, nil); m != nil {
		t.Error("there is a limit")
	}
	if got := NewMemory(int64(quantity.Size(64<<20)), nil).String(); got != "64Mi" {
		t.Error(got)
	}
}

// Where this process is, in either version; a leaf of our own making is seen
// through.
func TestFindParent(t *testing.T) {
	root := t.TempDir()
	self := filepath.Join(root, "self")
	put := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(self, "4:memory:/a/b\n1:cpu:/\n0::/u/processor\n")
	if p, err := findParent(root, self); err != nil || p.unified || p.dir != filepath.Join(root, "memory/a/b") {
		t.Errorf("%+v, %v", p, err)
	}
	put(filepath.Join(root, "cgroup.controllers"), "memory")
	if p, err := findParent(root, self); err != nil || !p.unified || p.dir != filepath.Join(root, "u") {
		t.Errorf("%+v, %v", p, err)
	}
	put(self, "1:cpu:/\n")
	if p, err := findParent(root, self); err == nil || !strings.Contains(err.Error(), "none for memory") {
		t.Errorf("%+v, %v", p, err)
	}
}
