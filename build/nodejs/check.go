package nodejs

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/tool"
)

// surveyScript reads modules without running them and prints a [survey].
//
//go:embed survey.js
var surveyScript string

type survey struct {
	Errors []struct {
		File   string `json:"file"`
		Line   int    `json:"line"`
		Column int    `json:"column"`
		Text   string `json:"text"`
		Msg    string `json:"msg"`
	} `json:"errors"`
	Exported []string `json:"exported"` // by name, of the handler's file
	Open     bool     `json:"open"`     // there may be more
}

var extensions = []string{".js", ".mjs", ".cjs"}

// check finds syntax errors in the function's own files and a handler that its
// file does not export.
func check(ctx context.Context, node interpreter, src build.Source) error {
	file, name, err := handlerFile(src)
	if err != nil {
		return err
	}
	files, err := ownFiles(src.Dir, file)
	if err != nil {
		return fmt.Errorf("check sources: %w", err)
	}
	args := append([]string{"--experimental-vm-modules", "--no-warnings", "-e", surveyScript, "--"}, files...)
	out, err := tool.Run(ctx, tool.Command{Path: node.path, Args: args, Dir: src.Dir})
	if err != nil {
		return fmt.Errorf("check %s: %w: %s", file, err, tool.Tail(out.All, 2))
	}
	var s survey
	if err := json.Unmarshal([]byte(out.Stdout), &s); err != nil {
		return fmt.Errorf("check %s: %w", file, err)
	}
	if len(s.Errors) > 0 {
		e := s.Errors[0]
		mistake := &build.Error{File: e.File, Line: e.Line, Column: e.Column, Text: strings.TrimRight(e.Text, "\r\n"), Msg: e.Msg}
		if e.Line == 0 {
			locate(ctx, node, src.Dir, mistake)
		}
		return mistake
	}
	name, _, _ = strings.Cut(name, ".")
	switch {
	case s.Open || slices.Contains(s.Exported, name):
		return nil
	case len(s.Exported) > 0:
		return &build.Error{File: file, Msg: fmt.Sprintf("it exports no %s (found: %s): name the handler in spec.handler, such as %s:%s",
			name, strings.Join(s.Exported, ", "), stem(file), s.Exported[0])}
	}
	return &build.Error{File: file, Msg: fmt.Sprintf("it exports no %s: expected exports.%s = (context, event) => ...", name, name)}
}

var placed = regexp.MustCompile(`(?m)^(?:file://)?/.*:(\d+)\n(.*)\n( *)\^`)

// locate finds the line of a mistake in a module, which Node.js only tells on
// its standard error.
func locate(ctx context.Context, node interpreter, dir string, e *build.Error) {
	out, err := tool.Run(ctx, tool.Command{Path: node.path, Args: []string{"--check", e.File}, Dir: dir})
	found := placed.FindStringSubmatch(out.All)
	if err == nil || found == nil {
		return // the message has to do without
	}
	e.Line, _ = strconv.Atoi(found[1])
	e.Text, e.Column = found[2], len(found[3])+1
}

// handlerFile finds the file of spec.handler, relative to the sources.
func handlerFile(src build.Source) (file, name string, err error) {
	handler := src.Config.Spec.Handler
	module, name, ok := strings.Cut(handler, ":")
	if !ok || module == "" || name == "" {
		return "", "", &build.Error{Msg: fmt.Sprintf("spec.handler is %q, expected file:function, such as handler:handler", handler)}
	}
	if !filepath.IsLocal(module) {
		return "", "", &build.Error{Msg: fmt.Sprintf("spec.handler: %s is not in the sources", module)}
	}
	candidates := []string{module}
	for _, base := range []string{module, module + "/index"} {
		for _, ext := range extensions {
			candidates = append(candidates, base+ext)
		}
	}
	for _, c := range candidates {
		if fi, err := os.Stat(filepath.Join(src.Dir, c)); err == nil && fi.Mode().IsRegular() {
			return filepath.Clean(c), name, nil
		}
	}
	return "", "", &build.Error{Msg: fmt.Sprintf("spec.handler: there is no %s in the sources", withExtension(module))}
}

func withExtension(module string) string {
	if slices.Contains(extensions, filepath.Ext(module)) {
		return module
	}
	return module + ".js"
}

func stem(file string) string { return strings.TrimSuffix(file, filepath.Ext(file)) }

// most bounds how many files are read; a function with more is somebody's build.
const most = 500

// ownFiles lists the function's JavaScript, the handler's file first and
// without what others wrote.
func ownFiles(dir, first string) (files []string, err error) {
	files = []string{first}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != dir && (d.Name() == modules || strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil && d.Type().IsRegular() && rel != first && len(files) < most && slices.Contains(extensions, filepath.Ext(rel)) {
			files = append(files, rel)
		}
		return err
	})
	return files, err
}
