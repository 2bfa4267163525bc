package source

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/build"
)

// put writes files below dir; a text that begins with -> makes a link.
func put(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if target, link := strings.CutPrefix(text, "->"); link {
			err = errors.Join(err, os.Symlink(target, path))
		} else {
			err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// staged stages ref beside nothing else, and checks that nothing else is left.
func staged(t *testing.T, s Stager, ref Ref) (name string, files []string, err error) {
	t.Helper()
	parent := t.TempDir()
	dest := filepath.Join(parent, "dest")
	if err := os.Mkdir(dest, 0o755); err != nil {
		t.Fatal(err)
	}
	name, err = s.Stage(t.Context(), ref, dest)
	if left, _ := os.ReadDir(parent); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	_ = filepath.WalkDir(dest, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dest, path)
			files = append(files, rel)
		}
		return err
	})
	return name, files, err
}

func TestDirectory(t *testing.T) {
	dir := put(t, filepath.Join(t.TempDir(), "hello"), map[string]string{
		"hello.py": "", "lib/a.py": "", "lib/a_test.py": "", "lib/keep_test.py": "", ".git/HEAD": "", "lib/__pycache__/x.pyc": "",
		"data/big.bin": "", "deep/data/small.bin": "", "log.txt": "", "inside.py": "->lib/a.py", "absolute.py": "->" + t.TempDir(),
		".myelinignore": "# tests\n*_test.py\n!keep_test.py\n/data/\n*.txt\nabsolute.py\n",
	})
	name, files, err := staged(t, Stager{Local: true}, Ref{Path: dir})
	if err != nil || name != "hello" {
		t.Fatal(name, err)
	}
	want := []string{".myelinignore", "deep/data/small.bin", "hello.py", "inside.py", "lib/a.py", "lib/keep_test.py"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Error(diff)
	}
}

func TestSingleFileAndCode(t *testing.T) {
	dir := put(t, t.TempDir(), map[string]string{"My Func.py": "x", "other.py": ""})
	name, files, err := staged(t, Stager{Local: true}, Ref{Path: filepath.Join(dir, "My Func.py")})
	if err != nil || name != "My Func" || !slices.Equal(files, []string{"My Func.py"}) {
		t.Error(name, files, err)
	}
	name, files, err = staged(t, Stager{}, Ref{Code: []byte("x"), File: "main.py"})
	if err != nil || name != "main" || !slices.Equal(files, []string{"main.py"}) {
		t.Error(name, files, err)
	}
}

type entry struct {
	name, text, link string
}

func zipOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(0o644)
		if e.link != "" {
			h.SetMode(fs.ModeSymlink | 0o777)
			e.text = e.link
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(e.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t *testing.T, compress bool, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o755, Size: int64(len(e.text)), Format: tar.FormatPAX}
		if e.link != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, e.link, 0
		}
		err := w.WriteHeader(h)
		if err == nil && e.link == "" {
			_, err = w.Write([]byte(e.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !compress {
		return b.Bytes()
	}
	var z bytes.Buffer
	g := gzip.NewWriter(&z)
	_, err := g.Write(b.Bytes())
	if err := errors.Join(err, g.Close()); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

func TestArchives(t *testing.T) {
	good := []entry{{name: "top/hello.py", text: "x"}, {name: "top/lib/a.py", text: "y"}, {name: "top/b.py", link: "lib/a.py"}}
	for name, content := range map[string][]byte{
		"f.zip": zipOf(t, good...), "f.tar": tarOf(t, false, good...), "f.tar.gz": tarOf(t, true, good...), "f.tgz": tarOf(t, true, good...),
		"f": zipOf(t, good...), // known by its content
	} {
		dir := put(t, t.TempDir(), map[string]string{name: string(content)})
		got, files, err := staged(t, Stager{Local: true}, Ref{Path: filepath.Join(dir, name)})
		if err != nil || got != "f" || !slices.Equal(files, []string{"b.py", "hello.py", "lib/a.py"}) {
			t.Error(name, got, files, err)
		}
		_, files, err = staged(t, Stager{Local: true}, Ref{Path: filepath.Join(dir, name), WorkDir: "top/lib"})
		if err != nil || !slices.Equal(files, []string{"a.py"}) {
			t.Error(name, files, err)
		}
	}
}

func TestBadSources(t *testing.T) {
	bomb := entry{name: "zeros", text: strings.Repeat("\x00", 3<<20)}
	many := make([]entry, 300)
	for i := range many {
		many[i].name = strings.Repeat("x", i+1)[:min(i+1, 100)] + string(rune('a'+i%26)) + strings.Repeat("y", i/26)
	}
	small := Stager{Local: true, MaxBytes: 1 << 20, MaxFiles: 100}
	outside := t.TempDir()
	for name, test := range map[string]struct{ file, text, want string }{
		"zip slip":      {"f.zip", string(zipOf(t, entry{name: "../evil.py"})), "../evil.py: the archive's entry leaves its directory"},
		"absolute":      {"f.tar", string(tarOf(t, false, entry{name: "/etc/evil"})), "/etc/evil: the archive's entry leaves"},
		"backslash":     {"f.zip", string(zipOf(t, entry{name: `..\evil.py`})), "leaves its directory"},
		"link out":      {"f.tgz", string(tarOf(t, true, entry{name: "a", link: outside}, entry{name: "b.py"})), "a: the symbolic link leaves"},
		"zip link out":  {"f.zip", string(zipOf(t, entry{name: "a", link: outside}, entry{name: "b.py"})), "a: the symbolic link leaves"},
		"through link":  {"f.tar", string(tarOf(t, false, entry{name: "a", link: outside}, entry{name: "a/evil"})), "f.tar: "},
		"bomb":          {"f.zip", string(zipOf(t, bomb)), "too large"},
		"bomb tgz":      {"f.tgz", string(tarOf(t, true, bomb)), "too large"},
		"many":          {"f.zip", string(zipOf(t, many...)), "too many files"},
		"broken zip":    {"f.zip", string(zipOf(t, bomb))[:400], "f.zip: broken archive"},
		"broken tgz":    {"f.tgz", string(tarOf(t, true, bomb))[:100], "f.tgz: broken archive"},
		"no archive":    {"f.zip", "hello", "f.zip: broken archive"},
		"huge file":     {"f.py", bomb.text, "too large"},
		"leaving link":  {"l.py/x", "->" + outside, "x: the symbolic link leaves the directory"},
		"dangling link": {"l.py/x", "->nowhere", "x: the symbolic link leads nowhere"},
		"loop":          {"l.py/x", "->x", "x: the symbolic link cannot be followed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := put(t, t.TempDir(), map[string]string{test.file: test.text})
			top, _, _ := strings.Cut(test.file, "/")
			_, _, err := staged(t, small, Ref{Path: filepath.Join(dir, top)})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if left, _ := os.ReadDir(outside); len(left) > 0 {
				t.Errorf("something was written outside: %v", left)
			}
		})
	}
}

func TestBadRefs(t *testing.T) {
	for _, test := range []struct {
		s    Stager
		ref  Ref
		want string
	}{
		{Stager{Local: true}, Ref{Path: "/no/such/file"}, "/no/such/file: no such file or directory"},
		{Stager{Local: true}, Ref{Path: "/dev/null"}, "neither a file nor a directory"},
		{Stager{}, Ref{Path: "/etc/passwd"}, "not from the server's own files"},
		{Stager{}, Ref{Path: "git+file:///x"}, "cannot be fetched by file"},
		{Stager{}, Ref{Path: "git+ext::sh -c true://x"}, "cannot be fetched by ext"},
		{Stager{}, Ref{Path: "ftp://x/y"}, "not ftp"},
		{Stager{}, Ref{}, "no sources"},
		{Stager{}, Ref{Code: []byte("x"), File: "../x.py"}, "expected a name without a directory"},
		{Stager{}, Ref{Path: "git+https://x/y", Revision: "--upload-pack=x"}, "not a branch, tag or reference"},
		{Stager{}, Ref{Git: true, Path: "-x"}, "not the URL of a repository"},
	} {
		_, _, err := staged(t, test.s, test.ref)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %s", test.ref, err, test.want)
		}
	}
}

func TestDownload(t *testing.T) {
	archive := tarOf(t, true, entry{name: "repo-1/hello.py", text: "x"})
	mux := http.NewServeMux()
	mux.HandleFunc("/code/tarball", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != "t" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		_, _ = w.Write(archive)
	})
	mux.HandleFunc("/hello.py", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("def handler(c, e): pass")) })
	mux.HandleFunc("/large.py", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<20)) })
	mux.Handle("/moved", http.RedirectHandler("/hello.py", http.StatusFound))
	mux.Handle("/away", http.RedirectHandler("file:///etc/passwd", http.StatusFound))
	mux.Handle("/round", http.RedirectHandler("/round", http.StatusFound))
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	for _, test := range []struct {
		path, name, file, wrong string
	}{
		{path: "/code/tarball", name: "tarball", file: "hello.py"},
		{path: "/hello.py?x=y", name: "hello", file: "hello.py"},
		{path: "/moved", name: "moved", file: "moved"},
		{path: "/large.py", wrong: "larger than"},
		{path: "/away", wrong: "redirect to file refused"},
		{path: "/round", wrong: "more than 10 redirects"},
		{path: "/none", wrong: "404"},
		{path: "/slow", wrong: "deadline exceeded"},
	} {
		s := Stager{MaxBytes: 1 << 20, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
		if test.path == "/slow" {
			s.Timeout = 50_000_000
		}
		name, files, err := staged(t, s, Ref{Path: srv.URL + test.path, Headers: map[string]string{"X-Token": "t"}})
		if test.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("%s: %v, want %s", test.path, err, test.wrong)
			}
		} else if err != nil || name != test.name || !slices.Equal(files, []string{test.file}) {
			t.Errorf("%s: %s %v %v", test.path, name, files, err)
		}
	}
}

func TestGit(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "hello.git")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	put(t, repo, map[string]string{"one.py": "", "sub/fn/two.py": ""})
	git("init", "-q", "-b", "main")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	git("tag", "v1")
	put(t, repo, map[string]string{"three.py": ""})
	git("add", ".")
	git("commit", "-q", "-m", "two")
	git("branch", "dev")
	first := git("rev-parse", "v1")
	s := Stager{Local: true}
	url := "file://" + repo
	for _, test := range []struct {
		ref  Ref
		name string
		want []string
	}{
		{Ref{Path: "git+" + url}, "hello", []string{"one.py", "sub/fn/two.py", "three.py"}},
		{Ref{Path: "git+" + url + "#v1"}, "hello", []string{"one.py", "sub/fn/two.py"}},
		{Ref{Git: true, Path: url, Revision: "refs/heads/dev"}, "hello", []string{"one.py", "sub/fn/two.py", "three.py"}},
		{Ref{Git: true, Path: url, Revision: first}, "hello", []string{"one.py", "sub/fn/two.py"}},
		{Ref{Git: true, Path: url, WorkDir: "sub/fn"}, "fn", []string{"two.py"}},
	} {
		name, files, err := staged(t, s, test.ref)
		slices.Sort(files)
		slices.Sort(test.want)
		if err != nil || name != test.name || !slices.Equal(files, test.want) {
			t.Errorf("%+v: %s %v %v", test.ref, name, files, err)
		}
	}
	for _, test := range []struct {
		ref  Ref
		want string
	}{
		{Ref{Path: "git+" + url + "#nowhere"}, "couldn't find remote ref nowhere"},
		{Ref{Path: "git+" + url, WorkDir: "none"}, "there is no such directory"},
		{Ref{Path: "git+" + url, WorkDir: "../.."}, "leaves the sources"},
		{Ref{Path: "git+file://" + t.TempDir()}, "does not appear to be a git repository"},
	} {
		_, _, err := staged(t, s, test.ref)
		var own *build.Error
		if !errors.As(err, &own) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, want %s", test.ref, err, test.want)
		}
	}
}

// Credentials go through the environment, and to their host alone.
func TestGitCredentials(t *testing.T) {
	s := Stager{}
	ref := Ref{Path: "git+https://me:secret@example.com/x.git"}
	repo, _, err := s.repository(ref)
	if err != nil {
		t.Fatal(err)
	}
	env := strings.Join(gitEnvironment(repo, ref, false, netip.Addr{}), "\n")
	for _, want := range []string{"GIT_CONFIG_KEY_0=http.https://example.com/.extraHeader", "Authorization: Basic bWU6c2VjcmV0", "GIT_ALLOW_PROTOCOL=https:ssh\n", "GIT_TERMINAL_PROMPT=0"} {
		if !strings.Contains(env, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(repo.String(), "secret") {
		t.Errorf("the command line has it: %s", repo)
	}
}
