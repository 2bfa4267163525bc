package python_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/build/machine"
	"github.com/myelin-run/myelin/build/pipeline"
)

// other is an architecture that this machine is not.
func other() string {
	if goruntime.GOARCH == machine.ARM64 {
		return machine.AMD64
	}
	return machine.ARM64
}

// elf is the beginning of a library for an architecture.
func elf(architecture string) string {
	kind := map[string]byte{machine.AMD64: 62, machine.ARM64: 183}[architecture]
	return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9) + "\x03\x00" + string([]byte{kind, 0})
}

// library writes a wheel of a package tea with a library for an architecture.
func library(t *testing.T, dir, tag, architecture string) {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	info := "tea-1.0.dist-info/"
	for _, f := range [][2]string{
		{"tea_native.so", elf(architecture)}, {info + "METADATA", "Metadata-Version: 2.1\nName: tea\nVersion: 1.0\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\nTag: " + tag + "\n"},
		{info + "RECORD", "tea_native.so,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		out, err := w.Create(f[0])
		if err == nil {
			_, err = io.WriteString(out, f[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tea-1.0-"+tag+".whl"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestElsewhere: for another architecture its wheels are taken, requirements are
// asked as on it, and what has nothing for it is named.
func TestElsewhere(t *testing.T) {
	wheels := t.TempDir()
	if err := os.Chmod(filepath.Dir(wheels), 0o755); err != nil { // pip is another user
		t.Fatal(err)
	}
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", wheels)
	here, there := goruntime.GOARCH, other()
	library(t, wheels, "py3-none-manylinux2014_"+machine.GNU(here), here)
	files := map[string]string{
		"main.py":          "def handler(context, event): pass\n",
		"requirements.txt": fmt.Sprintf("tea; platform_machine == %q\nnothing; platform_machine == %q\n", machine.GNU(there), machine.GNU(here)),
	}
	p := newPipeline(t)
	build := func() (string, error) {
		a, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, files), Architecture: there}, io.Discard)
		return a.Dir, err
	}
	if _, err := build(); err == nil || !strings.Contains(err.Error(), "tea has no wheel for Linux on "+there) {
		t.Errorf("no wheel: %v", err)
	}
	library(t, wheels, "py3-none-manylinux2014_"+machine.GNU(there), there)
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	if is, ok, err := machine.OfFile(filepath.Join(dir, "site-packages", "tea_native.so")); err != nil || !ok || is != there {
		t.Errorf("the library is for %s, %v", is, err)
	}
	// One that says it is for all machines, and is not.
	wheels = t.TempDir()
	if err := os.Chmod(filepath.Dir(wheels), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PIP_FIND_LINKS", wheels)
	library(t, wheels, "py3-none-any", here)
	files["requirements.txt"] = "tea==1.0\n"
	if _, err := build(); err == nil || !strings.Contains(err.Error(), "does not run on "+there+": tea (for "+here+")") {
		t.Errorf("not what it says: %v", err)
	}
}
