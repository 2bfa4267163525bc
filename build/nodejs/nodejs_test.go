package nodejs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/nodejs"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/build/source"
	"github.com/myelin-run/myelin/function"
	runtime "github.com/myelin-run/myelin/runtime/nodejs"
)

func newPipeline(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	data := t.TempDir()
	t.Setenv("npm_config_cache", t.TempDir())
	return pipeline.New(pipeline.Options{Data: data, Stager: source.Stager{Local: true}, Builders: map[string]build.Builder{
		"nodejs": nodejs.New(nodejs.Options{Data: data, Find: runtime.Find}),
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

const code = "const { WORD } = require('greetings');\nexports.handler = () => WORD;\n"

// run calls the handler of an artefact with its packages.
func run(t *testing.T, a build.Artefact) string {
	t.Helper()
	path, _, err := runtime.Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(path, "-p", "require('"+filepath.Join(a.Dir, "src", "handler.js")+"').handler()").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func greetings(word string) map[string]string {
	return map[string]string{
		"lib/package.json": `{"name": "greetings", "version": "1.0.0", "scripts": {"postinstall": "touch ran"}}`,
		"lib/index.js":     "exports.WORD = '" + word + "';\n",
	}
}

const lock = `{"name": "fn", "lockfileVersion": 3, "requires": true, "packages": {
  "": {"name": "fn", "dependencies": {"greetings": "file:lib"}},
  "lib": {"name": "greetings", "version": "1.0.0"},
  "node_modules/greetings": {"resolved": "lib", "link": true}}}`

func TestPackagesAreInstalledOnce(t *testing.T) {
	p := newPipeline(t)
	for name, test := range map[string]struct {
		files map[string]string
		build function.Build
	}{
		"package.json": {files: map[string]string{"package.json": `{"dependencies": {"greetings": "file:lib"}}`}},
		"lock":         {files: map[string]string{"package.json": `{"name": "fn", "dependencies": {"greetings": "file:lib"}}`, "package-lock.json": lock}},
		"dependencies": {build: function.Build{Dependencies: []string{"file:lib"}}},
		"commands":     {build: function.Build{Commands: []string{"npm install --global file:lib"}}},
		"stale modules": {files: map[string]string{"package.json": `{"dependencies": {"greetings": "file:lib"}}`,
			"node_modules/greetings/index.js": "exports.WORD = 'stale'"}},
	} {
		t.Run(name, func(t *testing.T) {
			files := greetings("hi")
			files["handler.js"] = code
			for file, text := range test.files {
				files[file] = text
			}
			dir := put(t, files)
			r := pipeline.Request{Path: dir, Overrides: function.Config{Spec: function.Spec{Runtime: "nodejs", Handler: "handler:handler", Build: test.build}}}
			a, _, err := p.Build(t.Context(), r, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			if got := run(t, a); got != "hi" {
				t.Errorf("got %q", got)
			}
			if _, err := os.Stat(filepath.Join(a.Dir, "src", "lib", "ran")); err == nil {
				t.Error("an install script ran")
			}
		})
	}
}

// What nothing but the code changes is not installed again.
func TestUnchangedPackages(t *testing.T) {
	p := newPipeline(t)
	lib := put(t, greetings("far"))
	files := map[string]string{"handler.js": code, "package.json": `{"dependencies": {"greetings": "` + pack(t, filepath.Join(lib, "lib")) + `"}}`}
	for i, want := range []string{"npm install", "dependencies are unchanged"} {
		files["handler.js"] = strings.Repeat("// changed\n", i) + code
		var log bytes.Buffer
		a, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, files)}, &log)
		if err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
		if got := run(t, a); got != "far" || !strings.Contains(log.String(), want) {
			t.Errorf("%q\n%s", got, log.String())
		}
	}
}

// pack makes an archive of a package as npm takes it, at an absolute URL that
// does not count as part of the sources.
func pack(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	cmd := exec.Command("tar", "czf", filepath.Join(to, "greetings.tgz"), "--transform", "s,^.,package,", "-C", dir, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return serve(t, to) + "/greetings.tgz"
}

func TestInstallScriptsRunIfAsked(t *testing.T) {
	p := newPipeline(t)
	files := map[string]string{"handler.js": "exports.handler = () => require('fs').existsSync(__dirname + '/node_modules/greetings/ran');\n"}
	url := pack(t, filepath.Join(put(t, greetings("x")), "lib"))
	for asked, want := range map[string]string{"false": "false", "true": "true"} {
		files["package.json"] = `{"dependencies": {"greetings": "` + url + `"}, "myelin": {"installScripts": ` + asked + `}}`
		a, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, files)}, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		if got := run(t, a); got != want {
			t.Errorf("asked %s: the script ran: %s", asked, got)
		}
	}
}

func TestMistakes(t *testing.T) {
	p := newPipeline(t)
	for name, c := range map[string]struct {
		files map[string]string
		spec  function.Spec
		file  string
		line  int
		text  string
		want  string
	}{
		"syntax": {files: map[string]string{"handler.js": "const a = 1;\nexports.handler = () => {\n  return }}\n"},
			file: "handler.js", line: 3, text: "  return }}", want: "SyntaxError: Unexpected token '}'"},
		"syntax of a module": {files: map[string]string{"main.mjs": "import fs from 'fs';\nexport const handler = () => ;\n"},
			file: "main.mjs", line: 2, text: "export const handler = () => ;", want: "SyntaxError: Unexpected token ';'"},
		"syntax elsewhere": {files: map[string]string{"handler.js": "exports.handler = () => require('./lib/a')\n", "lib/a.js": "a b\n"},
			spec: function.Spec{Runtime: "nodejs", Handler: "handler:handler"}, file: "lib/a.js", line: 1, text: "a b", want: "SyntaxError"},
		"no such export": {files: map[string]string{"handler.js": "exports.one = exports.two = () => {}\n"},
			spec: function.Spec{Handler: "handler:three"}, file: "handler.js", want: "it exports no three (found: one, two): name the handler in spec.handler, such as handler:one"},
		"no export":    {files: map[string]string{"handler.js": "function handler() {}\n"}, file: "handler.js", want: "it exports no handler: expected exports.handler"},
		"no file":      {files: map[string]string{"a.js": "exports.handler = 1"}, spec: function.Spec{Runtime: "nodejs", Handler: "b:handler"}, want: "there is no b.js"},
		"package.json": {files: map[string]string{"handler.js": "exports.handler = 1", "package.json": "{\n  \"a\": ,\n}"}, file: "package.json", line: 2, text: `  "a": ,`, want: "invalid character"},
		"dependency":   {files: map[string]string{"handler.js": "exports.handler = 1"}, spec: function.Spec{Build: function.Build{Dependencies: []string{"--x"}}}, want: "is not a package such as"},
		"command":      {files: map[string]string{"handler.js": "exports.handler = 1"}, spec: function.Spec{Build: function.Build{Commands: []string{"apt install x"}}}, want: "is not an npm install"},
		"shell":        {files: map[string]string{"handler.js": "exports.handler = 1"}, spec: function.Spec{Build: function.Build{Commands: []string{"npm install a && rm -rf /"}}}, want: "needs a shell"},
		"option":       {files: map[string]string{"handler.js": "exports.handler = 1"}, spec: function.Spec{Build: function.Build{Commands: []string{"npm install --prefix /etc a"}}}, want: "the option --prefix"},
		"version":      {files: map[string]string{"handler.js": "exports.handler = 1"}, spec: function.Spec{Runtime: "nodejs:99"}, want: "node 99 not found"},
		"no package": {files: map[string]string{"handler.js": "exports.handler = 1", "package.json": `{"dependencies": {"a": "` + serve(t, t.TempDir()) + `/none.tgz"}}`},
			want: "npm install --omit=dev --no-package-lock failed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, c.files), Overrides: function.Config{Spec: c.spec}}, io.Discard)
			var mistake *build.Error
			if !errors.As(err, &mistake) || !strings.Contains(mistake.Msg, c.want) || mistake.File != c.file || mistake.Line != c.line || mistake.Text != c.text {
				t.Errorf("got %+v (%v)", mistake, err)
			}
		})
	}
}

// Forms of export that only running the module would resolve are let pass.
func TestExports(t *testing.T) {
	p := newPipeline(t)
	for name, files := range map[string]map[string]string{
		"whole":     {"handler.js": "module.exports = { handler() {} }\n"},
		"hashbang":  {"handler.js": "#!/usr/bin/env node\nexports.handler = async (c, e) => {}\n"},
		"module":    {"handler.mjs": "export async function handler(context, event) {}\n"},
		"default":   {"handler.mjs": "export default { handler() {} }\n"},
		"type":      {"handler.js": "import fs from 'node:fs';\nexport const handler = () => fs\n", "package.json": `{"type": "module"}`},
		"top await": {"handler.mjs": "export const handler = await Promise.resolve(() => 1)\n"},
		"brackets":  {"handler.js": "const handler = () => 1;\nmodule['exports'] = { handler };\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, files)}, t.Output()); err != nil {
				t.Error(err)
			}
		})
	}
}

// What the hook says is a warning.
func TestPrepareHook(t *testing.T) {
	data := t.TempDir()
	var got string
	b := nodejs.New(nodejs.Options{Data: data, Find: runtime.Find, Prepare: func(_ context.Context, interpreter string, _ io.Writer) error {
		got = interpreter
		return errors.New("no compiler")
	}})
	p := pipeline.New(pipeline.Options{Data: data, Builders: map[string]build.Builder{"nodejs": b}})
	var log bytes.Buffer
	a, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, map[string]string{"handler.js": "exports.handler = () => {}\n"})}, &log)
	if err != nil || !filepath.IsAbs(got) || !strings.Contains(log.String(), "warning: no compiler") {
		t.Errorf("%v %q %s", err, got, log.String())
	}
	if record, err := os.ReadFile(filepath.Join(a.Dir, "interpreter")); err != nil || strings.TrimSpace(string(record)) != got {
		t.Errorf("recorded %q, %v", record, err)
	}
}
