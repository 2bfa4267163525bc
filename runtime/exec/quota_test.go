package exec

import (
	"os"
	"path/filepath"
	"testing"
)

// The smallest bound of a group and those above it counts, in either version.
func TestQuota(t *testing.T) {
	root := t.TempDir()
	put := func(path, text string) string {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	self := put("self", "3:cpuset:/\n2:cpu,cpuacct:/a/b\n1:memory:/a\n")
	if q := Quota(root, self); q != 0 {
		t.Errorf("no bound: %v", q)
	}
	put("cpu/a/b/cpu.cfs_quota_us", "-1\n")
	put("cpu/a/b/cpu.cfs_period_us", "100000\n")
	put("cpu/a/cpu.cfs_quota_us", "150000\n")
	put("cpu/a/cpu.cfs_period_us", "100000\n")
	if q := Quota(root, self); q != 1.5 {
		t.Errorf("version 1: %v", q)
	}
	self = put("self", "0::/x/y\n")
	put("x/cpu.max", "max 100000\n")
	put("x/y/cpu.max", "400000 100000\n")
	if q := Quota(root, self); q != 4 {
		t.Errorf("version 2: %v", q)
	}
	put("x/cpu.max", "50000 100000\n")
	if q := Quota(root, self); q != 0.5 {
		t.Errorf("version 2, bound above: %v", q)
	}
	if q := Quota(root, filepath.Join(root, "none")); q != 0 {
		t.Errorf("unknown: %v", q)
	}
}
