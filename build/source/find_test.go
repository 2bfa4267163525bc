package source

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
)

func TestFind(t *testing.T) {
	const yaml = "spec:\n  handler: %\n"
	for name, test := range map[string]struct {
		files                map[string]string
		over                 function.Spec
		name                 string
		fn, runtime, handler string
		wrong                string
	}{
		"python":    {files: map[string]string{"hello.py": "", "test_hello.py": "", "conftest.py": ""}, name: "My Func_1", fn: "my-func-1", runtime: "python", handler: "hello:handler"},
		"go":        {files: map[string]string{"a.go": "", "b.go": "", "a_test.go": ""}, name: "greeter", fn: "greeter", runtime: "golang"},
		"shell":     {files: map[string]string{"run.sh": ""}, name: "x", fn: "x", runtime: "shell", handler: "run.sh"},
		"shebang":   {files: map[string]string{"run": "#!/bin/sh\n", "LICENSE": "x"}, name: "x", fn: "x", runtime: "shell", handler: "run"},
		"node":      {files: map[string]string{"index.js": "", "index.test.js": ""}, name: "x", fn: "x", runtime: "nodejs", handler: "index:handler"},
		"of two":    {files: map[string]string{"a.py": "", "b.py": "", "function.yaml": strings.Replace(yaml, "%", "b:go", 1)}, name: "x", fn: "x", runtime: "python", handler: "b:go"},
		"dotted":    {files: map[string]string{"pkg/a.py": "", "function.yaml": strings.Replace(yaml, "%", "pkg.a:go", 1)}, name: "x", fn: "x", runtime: "python", handler: "pkg.a:go"},
		"bare":      {files: map[string]string{"a.py": "", "function.json": `{"spec":{"handler":"go","runtime":"python:3.11"}}`}, name: "x", fn: "x", runtime: "python:3.11", handler: "a:go"},
		"by block":  {files: map[string]string{"a.py": "", "b.py": "# @nuclio.configure\n#\n# function.yaml:\n#   metadata:\n#     name: named\n"}, name: "x", fn: "named", runtime: "python", handler: "b:handler"},
		"over":      {files: map[string]string{"a.py": "# @myelin.configure\n# function.yaml:\n#   spec:\n#     handler: a:block\n", "function.yaml": strings.Replace(yaml, "%", "a:file", 1)}, over: function.Spec{Handler: "a:given"}, name: "x", fn: "x", runtime: "python", handler: "a:given"},
		"file over": {files: map[string]string{"a.py": "# @myelin.configure\n# function.yaml:\n#   spec:\n#     handler: a:block\n", "function.yaml": strings.Replace(yaml, "%", "a:file", 1)}, name: "x", fn: "x", runtime: "python", handler: "a:file"},
		"program":   {files: map[string]string{"readme.md": ""}, over: function.Spec{Runtime: "shell", Handler: "cat"}, name: "x", fn: "x", runtime: "shell", handler: "cat"},

		"empty":       {files: map[string]string{"readme.md": ""}, name: "DIR", wrong: "no function found in DIR: expected function.yaml or exactly one of *.go, *.py, *.js, *.java, *.sh"},
		"two":         {files: map[string]string{"a.py": "", "b.sh": ""}, name: "DIR", wrong: "no function found in DIR: a.py and b.sh may both be one; say which in spec.handler of function.yaml, such as a:handler"},
		"wrong kind":  {files: map[string]string{"a.py": ""}, over: function.Spec{Runtime: "golang"}, name: "DIR", wrong: "there is no *.go"},
		"two yamls":   {files: map[string]string{"a.py": "", "function.yaml": "", "function.yml": ""}, name: "x", wrong: "both function.yaml and function.yml"},
		"yaml":        {files: map[string]string{"a.py": "", "function.yaml": "spec:\n  handlr: x\n"}, name: "x", wrong: "function.yaml:2"},
		"block":       {files: map[string]string{"a.py": "x = 1\n# @myelin.configure\n# function.yaml:\n#   spec:\n#     handlr: x\n"}, name: "x", wrong: "a.py:5"},
		"build.yaml":  {files: map[string]string{"a.py": "", "build.yaml": "comands: []\n"}, name: "x", wrong: "build.yaml:1"},
		"config path": {files: map[string]string{"a.py": ""}, over: function.Spec{Build: function.Build{NuclioBuild: function.NuclioBuild{FunctionConfigPath: "../x.yaml"}}}, name: "x", wrong: "leaves the sources"},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := Find(put(t, t.TempDir(), test.files), test.name, function.Config{Spec: test.over})
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("got %v, want %s", err, test.wrong)
				}
				return
			}
			if cfg := src.Config; err != nil || cfg.Metadata.Name != test.fn || cfg.Spec.Runtime != test.runtime || cfg.Spec.Handler != test.handler {
				t.Errorf("got %q %q %q, %v", cfg.Metadata.Name, cfg.Spec.Runtime, cfg.Spec.Handler, err)
			}
		})
	}
}

// The block of a Go function may be in any of its files.
func TestFindBlockOfAnyGoFile(t *testing.T) {
	dir := put(t, t.TempDir(), map[string]string{"a.go": "package f\n", "b.go": "// @myelin.configure\n// function.yaml:\n//   metadata: {name: named}\npackage f\n"})
	src, err := Find(dir, "x", function.Config{})
	if err != nil || src.Config.Metadata.Name != "named" {
		t.Error(src.Config.Metadata.Name, err)
	}
}

func TestFromConfig(t *testing.T) {
	code := base64.StdEncoding.EncodeToString([]byte("def f(c, e): pass"))
	for name, test := range map[string]struct {
		cfg   string
		want  func(Ref) bool
		wrong string
	}{
		"inline Java": {cfg: `{metadata: {name: hi}, spec: {runtime: java, handler: a.b.Main, build: {functionSourceCode: ` + code + `}}}`, want: func(r Ref) bool { return r.File == "Main.java" }},
		"inline":      {cfg: `{metadata: {name: hi}, spec: {runtime: "python:3.11", build: {functionSourceCode: ` + code + `}}}`, want: func(r Ref) bool { return r.File == "hi.py" && string(r.Code) == "def f(c, e): pass" }},
		"handler":     {cfg: `{spec: {runtime: python, handler: "main:f", build: {functionSourceCode: ` + code + `, codeEntryType: sourceCode}}}`, want: func(r Ref) bool { return r.File == "main.py" }},
		"script":      {cfg: `{spec: {runtime: shell, handler: run.sh, build: {functionSourceCode: ` + code + `}}}`, want: func(r Ref) bool { return r.File == "run.sh" }},
		"git": {cfg: `{spec: {build: {codeEntryType: git, path: "https://h/r", codeEntryAttributes: {branch: b, username: u, password: p, workDir: /w}}}}`, want: func(r Ref) bool {
			return r.Git && r.Revision == "refs/heads/b" && r.Username == "u" && r.Password == "p" && r.WorkDir == "/w"
		}},
		"tag":        {cfg: `{spec: {build: {codeEntryType: git, path: "https://h/r", codeEntryAttributes: {tag: v1}}}}`, want: func(r Ref) bool { return r.Revision == "refs/tags/v1" }},
		"github":     {cfg: `{spec: {build: {codeEntryType: github, path: "https://github.com/a/b", codeEntryAttributes: {branch: b}}}}`, want: func(r Ref) bool { return r.Path == "https://github.com/a/b/archive/b.tar.gz" }},
		"url":        {cfg: `{spec: {build: {path: "https://h/f.py"}}}`, want: func(r Ref) bool { return r.Path == "https://h/f.py" }},
		"no runtime": {cfg: `{spec: {build: {functionSourceCode: ` + code + `}}}`, wrong: "needs spec.runtime"},
		"nothing":    {cfg: `{}`, wrong: "no sources"},
		"attribute":  {cfg: `{spec: {build: {codeEntryType: git, path: "https://h/r", codeEntryAttributes: {brnch: b}}}}`, wrong: "spec.build.codeEntryAttributes"},
		"type":       {cfg: `{spec: {build: {codeEntryType: svn, path: x}}}`, wrong: `unknown value "svn"`},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := function.Parse("f", []byte(test.cfg))
			if err != nil {
				t.Fatal(err)
			}
			ref, err := FromConfig(l.Config)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("got %v, want %s", err, test.wrong)
				}
			} else if err != nil || !test.want(ref) {
				t.Errorf("got %+v, %v", ref, err)
			}
		})
	}
}

func FuzzIgnore(f *testing.F) {
	f.Add("*.py\n!a/**/b\n/x/\n[!a]?\n\\#", "a/b/c.py")
	f.Fuzz(func(_ *testing.T, text, path string) {
		if ig, err := parseIgnore(text); err == nil {
			ig.match(path, false)
		}
	})
}
