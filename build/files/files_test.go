package files_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/files"
	"github.com/myelin-run/myelin/build/source"
)

func TestHostileNamesAreRefused(t *testing.T) {
	for path, want := range map[string]string{
		"":                        "a name is wanted",
		"../x.py":                 "without . and ..",
		"a/../../x.py":            "without . and ..",
		"./x.py":                  "without . and ..",
		"/etc/passwd":             "want a path relative",
		`..\x.py`:                 "mean something else elsewhere",
		"C:x.py":                  "mean something else elsewhere",
		"a\x00.py":                "signs that are not shown",
		"a\n.py":                  "signs that are not shown",
		"a\u202eyp.exe":           "signs that are not shown",
		"a\u200b.py":              "signs that are not shown",
		"a\u00a0.py":              "signs that are not shown",
		"\ufeffa.py":              "signs that are not shown",
		"a\u3164.py":              "signs that are not shown",
		"\xff.py":                 "not UTF-8",
		"a//b.py":                 "a part of it is empty",
		"a/":                      "a part of it is empty",
		"a.py ":                   "ends with a space",
		strings.Repeat("x", 300):  "longer than",
		".git/config":             "left by tools",
		"lib/__pycache__/a.pyc":   "left by tools",
		"function.yaml":           "it is the configuration",
		"build.yaml":              "it is the configuration",
		".myelinignore":           "none itself",
		"\u061cmain.py":           "signs that are not shown",
		"main\ufe0f.py":           "signs that are not shown",
		"main.py\u2028def f():x=": "signs that are not shown",
	} {
		refused(t, []files.File{{Path: path, Text: "x"}}, want)
	}
	for _, path := range []string{"main.py", "lib/a b.py", "größe.py", "データ/読む.js", "config/function.yaml", "go.mod", ".env.example", "a..b", "x+y@2.js"} {
		if err := files.Check([]files.File{{Path: path}}); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func refused(t *testing.T, list []files.File, want string) {
	t.Helper()
	var own *build.Error
	if err := files.Check(list); !errors.As(err, &own) || !strings.Contains(err.Error(), want) {
		t.Errorf("%.100s: %v, want %s", fmt.Sprint(list), err, want)
	}
}

func TestNamesThatAreOneElsewhere(t *testing.T) {
	for want, paths := range map[string][]string{
		`the file "a.py" is there twice`:                      {"a.py", "b.py", "a.py"},
		`the files "a.py" and "A.py" differ by case only`:     {"a.py", "A.py"},
		`the directories "lib" and "Lib" differ by case only`: {"lib/a.py", "Lib/b.py"},
		`"lib" is a file, and so "lib/a.py" cannot be in it`:  {"lib", "lib/a.py"},
		`"Lib" is a directory, and so no file`:                {"Lib/a.py", "lib"},
	} {
		var list []files.File
		for _, p := range paths {
			list = append(list, files.File{Path: p})
		}
		refused(t, list, want)
	}
}

func TestBounds(t *testing.T) {
	refused(t, nil, "there is no file")
	refused(t, make([]files.File, files.MaxFiles+1), "files, and 500 at most")
	half := strings.Repeat("x", files.MaxBytes/2)
	refused(t, []files.File{{Path: "a", Text: half}, {Path: "b", Text: half}, {Path: "c", Text: "x"}}, "more than 4 MiB")
	refused(t, []files.File{{Path: "a", Text: "x", Base64: []byte("x")}}, "both text and base64")
}

// What is read of a directory can be sent back, and is the same directory then.
func TestThereAndBack(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"main.py": "import lib\n", "lib/__init__.py": "", "logo.png": "\x89PNG\x00\xff", "run.sh": "#!/bin/sh\r\n"} {
		mode := fs.FileMode(0o644)
		if name == "run.sh" {
			mode = 0o755
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	list, err := files.Read(dir)
	want := []files.File{
		{Path: "lib/__init__.py"},
		{Path: "logo.png", Base64: []byte("\x89PNG\x00\xff")},
		{Path: "main.py", Text: "import lib\n"},
		{Path: "run.sh", Text: "#!/bin/sh\r\n", Executable: true},
	}
	if err != nil || !reflect.DeepEqual(list, want) {
		t.Fatal(list, err)
	}
	again(t, list)
}

// again packs a list and has it staged as builds are.
func again(t *testing.T, list []files.File) {
	t.Helper()
	var packed bytes.Buffer
	if err := files.Pack(&packed, list); err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	archive, dest := filepath.Join(work, "source.tar.gz"), filepath.Join(work, "dest")
	if err := errors.Join(os.WriteFile(archive, packed.Bytes(), 0o600), os.Mkdir(dest, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := (source.Stager{Local: true}).Stage(t.Context(), source.Ref{Path: archive}, dest); err != nil {
		t.Fatal(err)
	}
	got, err := files.Read(dest)
	order := func(a, b files.File) int { return strings.Compare(a.Path, b.Path) }
	want := slices.SortedFunc(slices.Values(list), order)
	slices.SortFunc(got, order)
	if err != nil || len(got) != len(want) {
		t.Fatal(got, want, err)
	}
	for i, f := range want {
		if g := got[i]; g.Path != f.Path || g.Executable != f.Executable || !bytes.Equal(g.Content(), f.Content()) {
			t.Fatalf("%v, want %v", g, f)
		}
	}
}

const digest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestKept(t *testing.T) {
	data := t.TempDir()
	s := files.NewStore(data)
	gone(t, s, digest, "built elsewhere")
	gone(t, s, "../../etc", "never built here")
	if err := s.Collect(func(string) bool { return false }); err != nil {
		t.Error(err)
	}
	list := []files.File{{Path: "main.py", Text: "x"}}
	if err := s.Keep(digest, files.Taken{Files: list}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(digest); err != nil || !reflect.DeepEqual(got, list) {
		t.Error(got, err)
	}
	for path, mode := range map[string]fs.FileMode{"sources": 0o700, "sources/" + digest + ".json.gz": 0o600} {
		if fi, err := os.Stat(filepath.Join(data, path)); err != nil || fi.Mode().Perm() != mode {
			t.Error(path, fi, err)
		}
	}
	// What is young stays, what is named stays, the rest goes.
	collect := func(named bool) {
		if err := s.Collect(func(d string) bool { return named && d == digest }); err != nil {
			t.Error(err)
		}
	}
	collect(false)
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(data, "sources", digest+".json.gz"), old, old); err != nil {
		t.Fatal(err)
	}
	collect(true)
	if _, err := s.Get(digest); err != nil {
		t.Error(err)
	}
	collect(false)
	gone(t, s, digest, "built elsewhere")
}

func gone(t *testing.T, s *files.Store, digest, why string) {
	t.Helper()
	var not *files.NotKept
	if _, err := s.Get(digest); !errors.As(err, &not) || !strings.Contains(err.Error(), why) {
		t.Errorf("%v, want %s", err, why)
	}
}

// Sources that cannot be edited are not kept, and it is said why.
func TestNotKept(t *testing.T) {
	s := files.NewStore(t.TempDir())
	link := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(link, "a.py"), nil, 0o644), os.Symlink("a.py", filepath.Join(link, "b.py"))); err != nil {
		t.Fatal(err)
	}
	big := t.TempDir()
	if err := os.WriteFile(filepath.Join(big, "a.bin"), make([]byte, files.MaxBytes+1), 0o644); err != nil {
		t.Fatal(err)
	}
	for dir, why := range map[string]string{link: `"b.py" is a link`, big: "more than 4 MiB"} {
		taken, err := files.Take(dir)
		if err == nil {
			err = s.Keep(digest, taken)
		}
		if err != nil {
			t.Fatal(err)
		}
		gone(t, s, digest, why)
	}
}

func FuzzSources(f *testing.F) {
	f.Add([]byte(`[{"path":"main.py","text":"x"},{"path":"lib/a.bin","base64":"AAE=","executable":true}]`))
	f.Add([]byte(`[{"path":"../x"},{"path":"A"},{"path":"a"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var list []files.File
		if json.Unmarshal(text, &list) != nil {
			return
		}
		if err := files.Check(list); err != nil {
			var own *build.Error
			if !errors.As(err, &own) {
				t.Fatal(err)
			}
			return
		}
		again(t, list)
	})
}
