package over

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/object/directory"
	"github.com/myelin-run/myelin/function"
)

// all reads a source to its end.
func all(t *testing.T, s Source, err error) ([]string, error) {
	t.Helper()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	var out []string
	for {
		text, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, text)
	}
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSets(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "items.txt", "one\n\ntwo\r\nthree")
	for _, name := range []string{"in/a.csv", "in/b/c.csv", "in/b.csv", "in/2026/x"} {
		write(t, dir, name, "x")
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "in/link")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"-":                       "[piped in]",
		"file:" + file:            "[one two three]",
		file:                      "[one two three]",
		"dir:" + dir + "/in":      "[2026/x a.csv b/c.csv b.csv]",
		dir + "/in":               "[2026/x a.csv b/c.csv b.csv]",
		"dir:" + dir + "/in/b":    "[c.csv]",
		"dir:" + dir + "/in/b.":   "[b.csv]",
		"dir:" + dir + "/in/2":    "[2026/x]",
		"dir:" + dir + "/in/none": "[]",
	} {
		s, err := Open(t.Context(), text, strings.NewReader("piped in\n"), Stores{})
		got, err := all(t, s, err)
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestWhatIsNoSet(t *testing.T) {
	dir := t.TempDir()
	long := write(t, dir, "long", "a\n"+strings.Repeat("x", 10<<20)+"\nb\n")
	binary := write(t, dir, "binary", "a\n\xff\xfe\x00\n")
	write(t, dir, "names/\xff\xfe", "x")
	for text, want := range map[string]string{
		"file:" + dir + "/gone": "no such file",
		dir + "/gone":           "no such file",
		"dir:" + dir + "/gone/": "there is no directory",
		"file:" + dir:           "is a directory",
		"s3://x/y":              "reaches no stores of objects",
		"s3:x":                  "want s3://BUCKET/PREFIX",
		"ftp://x/y":             `no kind of set is called "ftp"`,
		long:                    "long:2: the line has more than 65536 bytes",
		binary:                  `binary:2: no item can be made of this line: "\xff\xfe\x00" is not UTF-8 text`,
		dir + "/names":          `"\xff\xfe" is not UTF-8 text`,
	} {
		s, err := Open(t.Context(), text, strings.NewReader(""), Stores{})
		if got, err := all(t, s, err); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %q", text, got, err, want)
		}
	}
}

// The objects of a store come in pages.
func TestObjects(t *testing.T) {
	dir := t.TempDir()
	for i := range pageOf + 7 {
		write(t, dir, fmt.Sprintf("in/%05d", i), "x")
	}
	write(t, dir, "out", "x")
	b, err := directory.Factory().New(binding.Settings{Spec: function.DataBinding{Path: dir}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := all(t, Objects(b.(data.ObjectLister), "in/", b.Close), nil)
	if err != nil || len(got) != pageOf+7 || got[0] != "in/00000" || got[pageOf] != "in/01000" {
		t.Errorf("%d objects, %v", len(got), err)
	}
}
