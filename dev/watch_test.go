package dev

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// next waits until a change names a file.
func next(t *testing.T, w *watch, file string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case c := <-w.changes:
			if slices.Contains(c.files, file) {
				return
			}
		case <-deadline:
			t.Fatalf("no change of %s", file)
		}
	}
}

func started(t *testing.T, path string) *watch {
	t.Helper()
	w, err := newWatch(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

func TestWatchSeesHowEditorsSave(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "main.py")
	write(t, path, "a")
	w := started(t, dir)

	write(t, path, "b") // in place
	next(t, w, "main.py")

	write(t, path+"~", "c") // by renaming
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
	next(t, w, "main.py")

	if err := os.Rename(path, path+"~"); err != nil { // backup first, as vim does
		t.Fatal(err)
	}
	write(t, path, "d")
	next(t, w, "main.py")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	next(t, w, "main.py")
}

func TestWatchFollowsNewDirectories(t *testing.T) {
	dir := t.TempDir()
	w := started(t, dir)
	if err := os.Mkdir(filepath.Join(dir, "parts"), 0o755); err != nil {
		t.Fatal(err)
	}
	next(t, w, "parts")
	write(t, filepath.Join(dir, "parts", "a.py"), "x")
	next(t, w, filepath.Join("parts", "a.py"))
}

// A function of one file does not care for its neighbours: the build takes
// that file alone.
func TestWatchOfOneFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.py")
	write(t, path, "a")
	w := started(t, path)
	write(t, filepath.Join(dir, "other.py"), "x")
	write(t, path, "b")
	if c := <-w.changes; !slices.Equal(c.files, []string{"f.py"}) {
		t.Errorf("told of %v", c.files)
	}
}

func TestSkipped(t *testing.T) {
	for _, name := range []string{".git", ".main.py.swp", "main.py~", "#main.py#", "4913", "__pycache__", "main.cpython-311.pyc", "node_modules"} {
		if !skipped(name) {
			t.Errorf("%s counts", name)
		}
	}
	for _, name := range []string{"main.py", "function.yaml", "go.mod", "data.json"} {
		if skipped(name) {
			t.Errorf("%s does not count", name)
		}
	}
}

func TestWatchOfNothing(t *testing.T) {
	if _, err := newWatch(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
}

func TestPausesGrow(t *testing.T) {
	var p time.Duration
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		if p = nextPause(p, 0); p != want*time.Second {
			t.Errorf("got %v, want %ds", p, want)
		}
	}
	if p = nextPause(p, time.Minute); p != 0 {
		t.Errorf("got %v after a long life", p)
	}
}
