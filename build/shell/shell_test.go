package shell_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/shell"
	"github.com/myelin-run/myelin/function"
)

func make(t *testing.T, handler, text string) (out string, err error) {
	t.Helper()
	dir, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hello.sh"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	src := build.Source{Dir: dir, Config: function.Config{Spec: function.Spec{Handler: handler, Runtime: "shell"}}}
	_, err = shell.New().Build(t.Context(), src, out, t.Output())
	return out, err
}

func TestScriptBecomesExecutable(t *testing.T) {
	for _, handler := range []string{"hello.sh", "hello.sh:main", "hello"} {
		out, err := make(t, handler, "#!/usr/bin/env -S sh -e\necho hi\n")
		if err != nil {
			t.Fatal(handler, err)
		}
		if fi, err := os.Stat(filepath.Join(out, "src", "hello.sh")); err != nil || fi.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v %v", handler, fi, err)
		}
	}
	out, err := make(t, "hello.sh", "echo hi\n")
	text, _ := os.ReadFile(filepath.Join(out, "src", "hello.sh"))
	if err != nil || string(text) != "#!/bin/sh\necho hi\n" {
		t.Errorf("%q %v", text, err)
	}
	if _, err := make(t, "cat", ""); err != nil {
		t.Errorf("a program of the machine: %v", err)
	}
}

func TestMistakes(t *testing.T) {
	for _, test := range []struct{ handler, text, want string }{
		{"hello.sh", "#!/no/such/shell\n", "hello.sh:1: interpreter /no/such/shell is not on this machine"},
		{"hello.sh", "#!/usr/bin/env no-such-shell\n", "hello.sh:1: interpreter no-such-shell is not in PATH"},
		{"hello.sh", "#!/bin/sh\r\n", "hello.sh:1: lines end in CR LF"},
		{"hello.sh", "#!\n", "hello.sh:1: no interpreter is named"},
		{"hello.sh", "a\x00b", "hello.sh: neither a script nor a program"},
		{"no-such-file.sh", "", "handler no-such-file.sh: neither a file of the function nor a program"},
		{"", "", "spec.handler is empty"},
	} {
		_, err := make(t, test.handler, test.text)
		var e *build.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.text, err, test.want)
		}
	}
}
