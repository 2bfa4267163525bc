package image

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// debs makes an archive of packages for arm64, as apt reads it, and returns the
// list of sources that names it.
func debs(t *testing.T, packages map[string]map[string]string, control map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	var list strings.Builder
	for name, files := range packages {
		tree := filepath.Join(t.TempDir(), name)
		about := fmt.Sprintf("Package: %s\nVersion: 1:2.0\nArchitecture: arm64\nMaintainer: nobody <a@b>\n%s", name, control[name])
		write(t, filepath.Join(tree, "DEBIAN", "control"), about+"Description: for a test\n", 0o644)
		for at, text := range files {
			write(t, filepath.Join(tree, at), text, 0o755)
		}
		for _, parent := range []string{tree, filepath.Join(tree, "DEBIAN")} {
			if err := os.Chmod(parent, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		deb := filepath.Join(dir, name+".deb")
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", tree, deb).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		text, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&list, "%sFilename: ./%s.deb\nSize: %d\nSHA256: %x\nDescription: for a test\n\n", about, name, len(text), sha256.Sum256(text))
	}
	write(t, filepath.Join(dir, "Packages"), list.String(), 0o644)
	sources := filepath.Join(t.TempDir(), "sources.list")
	write(t, sources, "deb [trusted=yes] file:"+dir+" ./\n", 0o644)
	return sources
}

// TestArchive: packages for another architecture are found, fetched and unpacked by
// this machine's apt, with what they need and where Debian has them, and what is
// installed on this machine stays as it is.
func TestArchive(t *testing.T) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("no machine of Debian's kind")
	}
	sources := debs(t, map[string]map[string]string{
		"tea":  {"bin/tea": "drink", "usr/share/doc/tea/manual": "long", "etc/tea.conf": "hot"},
		"pot":  {"lib/pot.so": "clay"},
		"mug":  {"usr/bin/mug": "handle"},
		"bowl": {"usr/bin/bowl": "none"},
	}, map[string]string{"tea": "Depends: pot (>= 1), cup\n", "mug": "Provides: cup\nPriority: optional\n", "bowl": "Provides: cup\nPriority: extra\n"})
	a := archive{dir: t.TempDir(), architecture: "arm64", sources: sources}
	old, other := filepath.Join(a.dir, "packages", "tea_1.0_arm64.deb"), filepath.Join(a.dir, "packages", "teapot_1.0_arm64.deb")
	write(t, old, "old", 0o644)
	write(t, other, "not asked for", 0o644)
	for range 2 { // the second time from what is kept
		known, err := a.packages(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all, err := known.closure([]string{"tea"}, "%s is missing")
		if err != nil {
			t.Fatal(err)
		}
		files, err := a.files(t.Context(), all, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, f := range files {
			if got[f.path] = f.link; f.from != "" {
				text, err := os.ReadFile(f.from)
				if err != nil {
					t.Fatal(err)
				}
				got[f.path] = string(text)
			}
		}
		for at, want := range map[string]string{"/usr/bin/tea": "drink", "/usr/lib/pot.so": "clay", "/usr/bin/mug": "handle", "/etc/tea.conf": "hot", "/bin": "usr/bin"} {
			if got[at] != want {
				t.Errorf("%s is %q instead of %q", at, got[at], want)
			}
		}
		for _, at := range []string{"/usr/bin/bowl", "/usr/share/doc/tea/manual"} {
			if got[at] != "" {
				t.Errorf("%s is there", at)
			}
		}
		if !slices.ContainsFunc(files, func(f file) bool {
			return f.path == "/var/lib/dpkg/status.d/tea" && strings.Contains(string(f.data), "Version: 1:2.0")
		}) {
			t.Error("what is in it is not said")
		}
		if _, err := os.Stat(old); err == nil {
			t.Error("an old version is kept")
		}
		if _, err := os.Stat(other); err != nil {
			t.Errorf("what is no other version: %v", err)
		}
		if _, err := known.closure([]string{"coffee"}, "%s is missing"); err == nil || err.Error() != "coffee is missing" {
			t.Errorf("unknown: %v", err)
		}
	}
}

// TestArchiveUnreachable: where no list can be had an error says so, and what was
// fetched before is enough.
func TestArchiveUnreachable(t *testing.T) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("no machine of Debian's kind")
	}
	sources := debs(t, map[string]map[string]string{"tea": {"bin/tea": "drink"}}, nil)
	a := archive{dir: t.TempDir(), architecture: "arm64", sources: sources}
	have := func() error {
		known, err := a.packages(t.Context())
		if err == nil && known["tea"] == nil {
			err = errors.New("it is not among them")
		}
		return err
	}
	if err := have(); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(sources)
	if err != nil {
		t.Fatal(err)
	}
	_, place, _ := strings.Cut(strings.TrimSuffix(string(list), " ./\n"), "file:")
	if err := errors.Join(os.RemoveAll(place), os.Remove(filepath.Join(a.dir, "updated"))); err != nil {
		t.Fatal(err)
	}
	if err := have(); err != nil {
		t.Errorf("with the old list: %v", err)
	}
	a.dir = t.TempDir()
	for range 2 {
		if err := have(); err == nil || !strings.Contains(err.Error(), "fetch lists of packages for arm64") {
			t.Errorf("no list: %v", err)
		}
	}
}
