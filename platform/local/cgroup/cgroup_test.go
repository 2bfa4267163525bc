package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// plant makes a directory that looks like a hierarchy, as far as files go.
func plant(t *testing.T, files ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range files {
		path := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func content(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVersion1(t *testing.T) {
	root := plant(t, "memory/m/f/memory.limit_in_bytes", "memory/m/f/tasks", "cpu/m/f/cpu.cfs_period_us", "cpu/m/f/cpu.cfs_quota_us", "cpu/m/f/tasks")
	g, err := Open(root, "m/f", Limits{Memory: 1 << 20, CPU: 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Place(42, new(syscall.SysProcAttr)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"memory/m/f/memory.limit_in_bytes": "1048576", "memory/m/f/tasks": "42", "cpu/m/f/cpu.cfs_quota_us": "50000", "cpu/m/f/tasks": "42"} {
		if got := content(t, root, path); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "memory/m/f/memory.oom_control"), []byte("under_oom 0\noom_kill 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if n := g.OOMKills(); n != 3 {
		t.Errorf("%d kills", n)
	}
}

func TestVersion2(t *testing.T) {
	root := plant(t, "cgroup.controllers", "cgroup.subtree_control", "m/cgroup.subtree_control", "m/f/memory.max", "m/f/cpu.max")
	g, err := Open(root, "m/f", Limits{Memory: 1 << 20, CPU: 2})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"cgroup.subtree_control": "+memory +cpu", "m/cgroup.subtree_control": "+memory +cpu", "m/f/memory.max": "1048576", "m/f/cpu.max": "200000 100000"} {
		if got := content(t, root, path); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	attr := new(syscall.SysProcAttr)
	if err := g.Place(42, attr); err != nil || !attr.UseCgroupFD {
		t.Errorf("%+v, %v", attr, err)
	}
	g.Placed(attr)
}

// A group of version 2 that may be divided has its members in a leaf, also when
// another life opens it again.
func TestDivisible(t *testing.T) {
	root := plant(t, "cgroup.controllers", "cgroup.subtree_control", "m/cgroup.subtree_control", "m/f/cgroup.subtree_control", "m/f/cgroup.procs")
	for range 2 {
		g, err := Open(root, "m/f", Limits{Divisible: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, root, "m/f/cgroup.subtree_control"); got != "+memory" {
			t.Errorf("the controllers of children are %q", got)
		}
		attr := new(syscall.SysProcAttr)
		if err := g.Place(42, attr); err != nil {
			t.Fatal(err)
		}
		if at, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(attr.CgroupFD)); err != nil || filepath.Base(at) != leaf {
			t.Errorf("members begin in %s, %v", at, err)
		}
		g.Placed(attr)
		if err := g.Give(os.Getuid(), os.Getgid()); err != nil {
			t.Error(err)
		}
	}
	root = plant(t, "memory/m/f/tasks")
	g, err := Open(root, "m/f", Limits{Divisible: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Place(42, new(syscall.SysProcAttr)); err != nil || content(t, root, "memory/m/f/tasks") != "42" {
		t.Errorf("version 1: %v", err)
	}
}

func TestWhereThereAreNoneItSaysSo(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "none"), "../up", Limits{}); err == nil {
		t.Error("took a name that leads outside")
	}
	if _, err := Open(plant(t), "m/f", Limits{Memory: 1}); err == nil {
		t.Error("limited without control groups")
	}
}
