package bindingtest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
)

// File is the suite of class file. Make builds one that is not open, with these
// attributes; each call gives one of the same files.
func File(t *testing.T, make func(t *testing.T, attributes string) binding.Binding) {
	open := func(t *testing.T, attributes string) *stage {
		s := &stage{t: t, dir: t.TempDir(), of: data.NewFiles(Opened(t, make(t, attributes)).(data.FileStore), guard())}
		root, err := os.OpenRoot(s.dir)
		ok(t, err)
		t.Cleanup(func() { _ = root.Close() })
		s.root = root
		return s
	}
	t.Run("In", func(t *testing.T) {
		dir := unique()
		s := open(t, `{"in": ["`+dir+`/fixed.txt", "`+dir+`/users/{header.user}.json", "`+dir+`/all/*"]}`)
		for _, name := range []string{"fixed.txt", "users/ann.json", "users/bob.json", "all/1", "all/deep/2"} {
			s.put(dir + "/" + name)
		}
		ok(t, s.in(map[string]string{"header.user": "ann"}))
		s.has(dir+"/fixed.txt", dir+"/users/ann.json", dir+"/all/1", dir+"/all/deep/2")
	})
	t.Run("Names", func(t *testing.T) { fileNames(open(t, `{"in": ["{body}"]}`)) })
	t.Run("Out", func(t *testing.T) { fileOut(open(t, `{"out": ["report.csv", "parts/*.txt"]}`)) })
	t.Run("Jail", func(t *testing.T) { fileJail(open(t, `{"out": ["taken/*"]}`)) })
	t.Run("Bounds", func(t *testing.T) {
		dir := unique()
		s := open(t, `{"in": ["`+dir+`/*"], "out": ["*.out"], "maxFiles": 3, "maxTotal": "5Ki"}`)
		for _, name := range []string{"1", "2", "3"} {
			s.put(dir + "/" + name)
		}
		ok(t, s.in(nil))
		s.put(dir + "/4")
		want(t, s.in(nil), data.TooLarge)
		s.make("1.out", 3000)
		ok(t, s.out())
		s.make("2.out", 3000)
		want(t, s.out(), data.TooLarge)
		s.make("2.out", Max+1)
		want(t, s.out(), data.TooLarge)
	})
	t.Run("NotOpen", func(t *testing.T) {
		b := make(t, `{"in": ["f"]}`)
		s := &stage{t: t, of: data.NewFiles(b.(data.FileStore), guard())}
		want(t, s.in(nil), data.Away)
		ok(t, b.Close())
	})
}

// stage is the directory of one run.
type stage struct {
	t    *testing.T
	of   *data.Files
	dir  string
	root *os.Root
}

func (s *stage) put(name string) {
	s.t.Helper()
	_, err := s.of.Put(s.t.Context(), name, []byte(name), data.PutObject{})
	ok(s.t, err)
}

func (s *stage) in(values map[string]string) error {
	return s.of.In(s.t.Context(), s.root, func(name string) (string, bool) { v, ok := values[name]; return v, ok })
}

func (s *stage) out() error { return s.of.Out(s.t.Context(), s.root) }

func (s *stage) make(name string, size int) {
	s.t.Helper()
	ok(s.t, os.MkdirAll(filepath.Dir(filepath.Join(s.dir, name)), 0o755))
	ok(s.t, os.WriteFile(filepath.Join(s.dir, name), bytes.Repeat([]byte("x"), size), 0o644))
}

// has looks for files, each of which has its name in it, and for no others.
func (s *stage) has(names ...string) {
	s.t.Helper()
	var found []string
	ok(s.t, filepath.WalkDir(s.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name, _ := filepath.Rel(s.dir, path)
			found = append(found, name)
			if content, err := os.ReadFile(path); err != nil || string(content) != name {
				s.t.Errorf("%s has %q, %v", name, content, err)
			}
		}
		return err
	}))
	if slices.Sort(names); !slices.Equal(found, names) {
		s.t.Errorf("laid out are %q, want %q", found, names)
	}
}

// fileNames has an event try to get out, or at what is not there.
func fileNames(s *stage) {
	name := unique()
	s.put(name)
	for value, reason := range map[string]data.Reason{"": data.Misuse, "..": data.Misuse, ".": data.Misuse, "../" + name: data.Misuse, "/etc/passwd": data.Misuse,
		"a/b": data.Misuse, "a\\b": data.Misuse, "a\x00": data.Misuse, "a\nb": data.Misuse, unique(): data.NotFound, "*": data.NotFound} {
		want(s.t, s.in(map[string]string{"body": value}), reason)
	}
	s.has()
	ok(s.t, s.in(map[string]string{"body": name}))
	s.has(name)
}

func fileOut(s *stage) {
	want(s.t, s.out(), data.Misuse) // report.csv is not made
	for name, size := range map[string]int{"report.csv": 7, "parts/1.txt": 0, "parts/2.txt": 3, "parts/no.tmp": 1, "parts/deep/3.txt": 1, "other": 1} {
		s.make(name, size)
	}
	ok(s.t, s.out())
	for name, size := range map[string]int{"report.csv": 7, "parts/1.txt": 0, "parts/2.txt": 3} {
		got, _, err := s.of.Get(s.t.Context(), name)
		ok(s.t, err)
		if len(got) != size {
			s.t.Errorf("%s has %d bytes", name, len(got))
		}
	}
	for _, name := range []string{"parts/no.tmp", "parts/deep/3.txt", "other"} {
		_, _, err := s.of.Get(s.t.Context(), name)
		want(s.t, err, data.NotFound)
	}
}

// fileJail has a run leave links and a pipe where files are looked for.
func fileJail(s *stage) {
	outside := filepath.Join(s.t.TempDir(), "outside")
	ok(s.t, os.WriteFile(outside, []byte("not the function's"), 0o600))
	taken := filepath.Join(s.dir, "taken")
	for name, plant := range map[string]func(at string) error{
		"link":  func(at string) error { return os.Symlink(outside, at) },
		"near":  func(at string) error { return os.Symlink("../../../../../../etc/passwd", at) },
		"pipe":  func(at string) error { return syscall.Mkfifo(at, 0o600) },
		"a\nb":  func(at string) error { return os.WriteFile(at, nil, 0o600) },
		"inner": func(at string) error { return os.Symlink("..", at) },
	} {
		ok(s.t, os.Mkdir(taken, 0o755))
		ok(s.t, plant(filepath.Join(taken, name)))
		want(s.t, s.out(), data.Misuse)
		ok(s.t, os.RemoveAll(taken))
	}
	ok(s.t, os.Symlink(filepath.Dir(outside), taken)) // the whole directory: its files are not seen
	ok(s.t, s.out())
	infos, err := s.of.List(s.t.Context(), "taken", "", 0)
	ok(s.t, err)
	if len(infos) > 0 {
		s.t.Errorf("taken: %+v", infos)
	}
}
