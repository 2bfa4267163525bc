package python_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/build/python"
	"github.com/myelin-run/myelin/build/source"
	"github.com/myelin-run/myelin/function"
	runtime "github.com/myelin-run/myelin/runtime/python"
)

func newPipeline(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	data := t.TempDir()
	return pipeline.New(pipeline.Options{Data: data, Stager: source.Stager{Local: true}, Builders: map[string]build.Builder{
		"python": python.New(python.Options{Data: data, Find: runtime.Find}),
	}})
}

// put makes a directory of files called fn.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "fn")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// wheel makes a package greetings with a word in it, as pip takes it.
func wheel(t *testing.T, word string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	info := "greetings-1.0.dist-info/"
	for _, f := range [][2]string{
		{"greetings.py", "WORD = " + fmt.Sprintf("%q", word) + "\n"},
		{info + "METADATA", "Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", "greetings.py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
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
	return b.String()
}

const wheelName = "greetings-1.0-py3-none-any.whl"

const code = "import greetings\n\ndef handler(context, event):\n    return greetings.WORD\n"

// run calls the handler of an artefact with its packages.
func run(t *testing.T, a build.Artefact) string {
	t.Helper()
	path, _, err := runtime.Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-B", "-c", "import main; print(main.handler(None, None))")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(a.Dir, "src")+":"+filepath.Join(a.Dir, "site-packages"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestRequirementsAreInstalledOnce(t *testing.T) {
	p := newPipeline(t)
	wheels := t.TempDir()
	if err := os.Chmod(filepath.Dir(wheels), 0o755); err != nil { // pip is another user
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(wheels, wheelName), []byte(wheel(t, "hi")), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", wheels)
	sum := sha256.Sum256([]byte(wheel(t, "hi")))
	for name, test := range map[string]struct {
		files map[string]string
		build function.Build
	}{
		"requirements": {files: map[string]string{"requirements.txt": "# ours\ngreetings==1.0\n"}},
		"hashes":       {files: map[string]string{"requirements.txt": fmt.Sprintf("greetings==1.0 --hash=sha256:%x\n", sum)}},
		"dependencies": {build: function.Build{Dependencies: []string{"greetings"}}},
		"commands":     {build: function.Build{Commands: []string{"pip install \\", "  --no-deps 'greetings'"}}},
		"beside":       {files: map[string]string{"requirements.txt": "./" + wheelName + "\n", wheelName: wheel(t, "hi")}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := put(t, map[string]string{"main.py": code})
			for file, text := range test.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r := pipeline.Request{Path: dir, Overrides: function.Config{Spec: function.Spec{Build: test.build}}}
			a, _, err := p.Build(t.Context(), r, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			if got := run(t, a); got != "hi" {
				t.Errorf("answered %q", got)
			}
			if err := os.WriteFile(filepath.Join(dir, "main.py"), []byte(code+"# more\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			b, cached, err := p.Build(t.Context(), r, &log)
			if err != nil || cached || b.Digest == a.Digest {
				t.Fatal(cached, err)
			}
			if again := strings.Contains(log.String(), "pip install"); again != (name == "beside") {
				t.Errorf("a change of the code: %s", log.String())
			}
			if _, cached, err := p.Build(t.Context(), r, t.Output()); err != nil || !cached {
				t.Errorf("unchanged: %t %v", cached, err)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	p := newPipeline(t)
	t.Setenv("PIP_NO_INDEX", "1")
	handler := "def handler(context, event): pass\n"
	for name, test := range map[string]struct {
		files map[string]string
		spec  function.Spec
		want  string
		text  string
	}{
		"syntax":      {files: map[string]string{"main.py": "x = 1\ndef handler(context, event)\n    pass\n"}, want: "main.py:2: expected ':'", text: "def handler(context, event)"},
		"indent":      {files: map[string]string{"main.py": "def handler(context, event):\npass\n"}, want: "main.py:2: IndentationError: expected an indented block", text: "pass"},
		"compile":     {files: map[string]string{"main.py": "return 1\n"}, want: "main.py:1: 'return' outside function"},
		"null":        {files: map[string]string{"main.py": "x\x00"}, want: "main.py"},
		"missing":     {files: map[string]string{"main.py": "def hello(context, event): pass\n"}, want: "main.py: there is no function handler (found: hello): name the handler in spec.handler, such as main:hello"},
		"none":        {files: map[string]string{"main.py": "x = 1\n"}, want: "main.py: there is no function handler: expected def handler(context, event)"},
		"module":      {files: map[string]string{"main.py": handler}, spec: function.Spec{Handler: "other:handler"}, want: "there is no module other: no other.py in the sources"},
		"version":     {files: map[string]string{"main.py": handler}, spec: function.Spec{Runtime: "python:3.99"}, want: "spec.runtime python:3.99: python 3.99 not found"},
		"interpreter": {files: map[string]string{"main.py": handler}, spec: function.Spec{RuntimeAttributes: []byte(`{"interpreter":"/no/such/python"}`)}, want: "/no/such/python"},
		"package":     {files: map[string]string{"main.py": handler, "requirements.txt": "no-such-package-at-all\n"}, want: "No matching distribution found for no-such-package-at-all"},
		"hash":        {files: map[string]string{"main.py": handler, wheelName: wheel(t, "x"), "requirements.txt": "./" + wheelName + " --hash=sha256:" + strings.Repeat("0", 64) + "\n"}, want: "DO NOT MATCH THE HASHES"},
		"command":     {files: map[string]string{"main.py": handler}, spec: function.Spec{Build: function.Build{Commands: []string{"apt-get install -y x"}}}, want: "other commands need the build of a container image"},
		"shell":       {files: map[string]string{"main.py": handler}, spec: function.Spec{Build: function.Build{Commands: []string{"pip install x; rm -rf /"}}}, want: "it needs a shell for ';'"},
		"target":      {files: map[string]string{"main.py": handler}, spec: function.Spec{Build: function.Build{Commands: []string{"pip install --target=/usr x"}}}, want: "the option --target=/usr of pip install cannot be used"},
		"dependency":  {files: map[string]string{"main.py": handler}, spec: function.Spec{Build: function.Build{Dependencies: []string{"--target=/usr"}}}, want: "is not a requirement"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, test.files), Overrides: function.Config{Spec: test.spec}}, t.Output())
			var e *build.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), test.want) || test.text != "" && e.Text != test.text {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// What may be a handler without a def is left to the start of the function.
func TestHandlersThatAreAssigned(t *testing.T) {
	p := newPipeline(t)
	for _, text := range []string{
		"handler = lambda context, event: 1\n",
		"from json import dumps as handler\n",
		"class handler:\n    def __new__(cls, context, event): pass\n",
		"try:\n    import x\nexcept ImportError:\n    async def handler(context, event): pass\n",
		"from os.path import *\n",
	} {
		if _, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, map[string]string{"main.py": text})}, t.Output()); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What the hook says is a warning.
func TestPrepareHook(t *testing.T) {
	data := t.TempDir()
	var got string
	b := python.New(python.Options{Data: data, Find: runtime.Find, Prepare: func(_ context.Context, interpreter string, _ io.Writer) error {
		got = interpreter
		return errors.New("no compiler")
	}})
	p := pipeline.New(pipeline.Options{Data: data, Builders: map[string]build.Builder{"python": b}})
	var log bytes.Buffer
	_, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, map[string]string{"main.py": "def handler(context, event): pass\n"})}, &log)
	if err != nil || !filepath.IsAbs(got) || !strings.Contains(log.String(), "warning: no compiler") {
		t.Errorf("%v %q %s", err, got, log.String())
	}
}

// thief is a package that looks around when it is built.
const thief = `import os, pathlib

def build_wheel(to, config=None, metadata=None):
    seen = []
    for path in %q, "/proc/%d/environ", "/etc/shadow":
        try:
            seen.append(pathlib.Path(path).read_bytes()[:40])
        except OSError as e:
            seen.append(type(e).__name__)
    raise SystemExit("user %%d has seen %%s and %%s" %% (os.getuid(), seen, os.environ.get("CLOUD_SECRET")))
`

// A package whose build reads keys does not get them, if this is root.
func TestPackagesReadNoKeys(t *testing.T) {
	t.Setenv("CLOUD_SECRET", "very secret")
	data := t.TempDir()
	key := filepath.Join(data, "store.keys")
	if err := os.WriteFile(key, []byte("very secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := pipeline.New(pipeline.Options{Data: data, Builders: map[string]build.Builder{
		"python": python.New(python.Options{Data: data, Find: runtime.Find}),
	}})
	dir := put(t, map[string]string{
		"main.py": "def handler(context, event): pass\n", "requirements.txt": "./thief\n",
		"thief/pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n[project]\nname = \"thief\"\nversion = \"1\"\n",
		"thief/backend.py":     fmt.Sprintf(thief, key, os.Getpid()),
	})
	r := pipeline.Request{Path: dir}
	r.Overrides.Spec.Build.Commands = []string{"pip install --no-index ./thief"}
	_, _, err := p.Build(t.Context(), r, t.Output())
	var wrong *build.Error
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Output, "has seen") || !strings.Contains(wrong.Output, "and None") {
		t.Fatalf("%v", err)
	}
	if os.Geteuid() == 0 && (strings.Contains(wrong.Output, "very secret") || strings.Contains(wrong.Output, "user 0 ") || strings.Contains(wrong.Output, "root:")) {
		t.Errorf("the build got at more than its own: %s", wrong.Output)
	}
}
