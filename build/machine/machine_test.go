package machine

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program is the beginning of one for a machine.
func program(kind byte) string {
	return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x03\x00" + string([]byte{kind, 0}) + "rest"
}

// TestUnfit: what has nothing for the wanted machine is named, with what it has;
// what has something for it, or no programs at all, is not.
func TestUnfit(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"tea/tea.so": program(62), "tea/pot.so": program(62), "both/a.so": program(62), "both/b.so": program(0xb7),
		"plain/x.py": "print()", "other/c.so": program(40), "short/d.so": "\x7fELF",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	jar(t, filepath.Join(dir, "lib", "one.jar"), map[string]string{"x86/native.so": program(62)})
	jar(t, filepath.Join(dir, "lib", "two.jar"), map[string]string{"x86/native.so": program(62), "arm/native.so": program(0xb7)})
	part := func(rel string) string {
		if strings.HasSuffix(rel, ".jar") {
			return filepath.Base(rel)
		}
		return filepath.Dir(rel)
	}
	for architecture, want := range map[string]string{
		ARM64: "one.jar (for amd64), other (for machine 40), tea (for amd64)",
		AMD64: "other (for machine 40)",
	} {
		parts, err := Unfit(dir, architecture, part)
		if err != nil || List(parts) != want {
			t.Errorf("for %s: %s, %v", architecture, List(parts), err)
		}
	}
	if is, ok, err := OfFile("/proc/self/exe"); err != nil || !ok || !Known(is) {
		t.Errorf("this program: %s, %v, %v", is, ok, err)
	}
}

func jar(t *testing.T, path string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	z := zip.NewWriter(f)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
