package python

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/tool"
)

// surveyScript reads a module without running it and prints a [survey].
//
//go:embed survey.py
var surveyScript string

type survey struct {
	Error *struct {
		Line   int    `json:"line"`
		Column int    `json:"column"`
		Text   string `json:"text"`
		Msg    string `json:"msg"`
	} `json:"error"`
	Functions []string `json:"functions"` // with two parameters or unknown many
	Names     []string `json:"names"`     // all that the module defines
	Open      bool     `json:"open"`      // names may come from elsewhere
}

// attribute finds runtimeAttributes.interpreter.
func attribute(raw []byte) (string, bool) {
	var a struct {
		Interpreter string `json:"interpreter"`
	}
	err := json.Unmarshal(raw, &a)
	return a.Interpreter, err == nil && a.Interpreter != ""
}

// check finds syntax errors in the handler's module and a handler that is not
// in it.
func check(ctx context.Context, py interpreter, src build.Source, log io.Writer) error {
	module, name, ok := strings.Cut(src.Config.Spec.Handler, ":")
	if !ok || module == "" || name == "" {
		return &build.Error{Msg: fmt.Sprintf("spec.handler is %q, expected module:function, such as main:handler", src.Config.Spec.Handler)}
	}
	file, err := moduleFile(src.Dir, module)
	if err != nil {
		return err
	}
	out, err := tool.Run(ctx, tool.Command{Path: py.path, Args: []string{"-I", "-S", "-c", surveyScript, file}, Dir: src.Dir})
	if err != nil {
		return fmt.Errorf("check %s: %w: %s", file, err, tool.Tail(out.All, 2))
	}
	var s survey
	if err := json.Unmarshal([]byte(out.Stdout), &s); err != nil {
		return fmt.Errorf("check %s: %w", file, err)
	}
	if e := s.Error; e != nil {
		return &build.Error{File: file, Line: e.Line, Column: e.Column, Text: strings.TrimRight(e.Text, "\r\n"), Msg: e.Msg}
	}
	name, _, _ = strings.Cut(name, ".")
	switch {
	case slices.Contains(s.Names, name):
		return nil
	case s.Open:
		fmt.Fprintf(log, "warning: %s: %s is not defined in it; it may be imported\n", file, name)
		return nil
	case len(s.Functions) > 0:
		return &build.Error{File: file, Msg: fmt.Sprintf("there is no function %s (found: %s): name the handler in spec.handler, such as %s:%s",
			name, strings.Join(s.Functions, ", "), module, s.Functions[0])}
	}
	return &build.Error{File: file, Msg: fmt.Sprintf("there is no function %s: expected def %s(context, event)", name, name)}
}

// moduleFile finds the file of a module, which may be in a package.
func moduleFile(dir, module string) (string, error) {
	path := strings.ReplaceAll(strings.TrimSuffix(module, ".py"), ".", "/")
	if filepath.IsLocal(path) {
		for _, file := range []string{path + ".py", path + "/__init__.py"} {
			if fi, err := os.Stat(filepath.Join(dir, file)); err == nil && fi.Mode().IsRegular() {
				return file, nil
			}
		}
	}
	return "", &build.Error{Msg: fmt.Sprintf("spec.handler: there is no module %s: no %s.py in the sources", module, path)}
}
