package java

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/tool"
)

// compile compiles files of dir into classes. Annotation processors do not
// run: they would be code of others that runs as the user that builds.
func (k kit) compile(ctx context.Context, dir string, files []string, classes string, libraries []string) error {
	if err := os.MkdirAll(classes, 0o755); err != nil {
		return fmt.Errorf("create classes: %w", err)
	}
	list, err := os.CreateTemp("", "myelin-java-")
	if err != nil {
		return fmt.Errorf("list sources: %w", err)
	}
	defer os.Remove(list.Name())
	for _, f := range files {
		fmt.Fprintf(list, "%q\n", "./"+f) // javac reads the same escapes
	}
	if err := list.Close(); err != nil {
		return fmt.Errorf("list sources: %w", err)
	}
	fmt.Fprintf(k.log, "compiling %d files\n", len(files))
	out, err := tool.Run(ctx, tool.Command{Path: k.tool("javac"), Dir: dir, Args: []string{
		"-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "-encoding", "UTF-8", "-g", "-parameters", "-proc:none", "-Xlint:-options", "-Xmaxerrs", "10",
		"-cp", strings.Join(append([]string{k.sdk}, libraries...), ":"), "-d", classes, "@" + list.Name()}})
	var failed *tool.Failed
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &failed):
		return fmt.Errorf("compile: %w", err)
	}
	return mistakeOf(out.All, dir)
}

var (
	javacError = regexp.MustCompile(`(?m)^(.+\.java):(\d+): error: (.*)\n(?:  .*\n)*?(.*)\n( *)\^`)
	mavenError = regexp.MustCompile(`(?m)^\[ERROR\] (.+\.java):\[(\d+),(\d+)\] (.*)$`)
)

// mistakeOf finds the first error that the compiler printed.
func mistakeOf(output, dir string) error {
	e := &build.Error{Msg: "compile: " + tool.Tail(output, 8), Output: output}
	if m := javacError.FindStringSubmatch(output); m != nil {
		e.File, e.Msg, e.Text, e.Column = strings.TrimPrefix(m[1], "./"), m[3], m[4], len(m[5])+1
		e.Line, _ = strconv.Atoi(m[2])
	} else if m := mavenError.FindStringSubmatch(output); m != nil {
		e.File, e.Msg = m[1], m[4]
		e.Line, _ = strconv.Atoi(m[2])
		e.Column, _ = strconv.Atoi(m[3])
		if rel, err := filepath.Rel(dir, m[1]); err == nil && filepath.IsLocal(rel) {
			e.File = rel
		}
		if text, err := os.ReadFile(filepath.Join(dir, e.File)); err == nil {
			if lines := strings.Split(string(text), "\n"); e.Line > 0 && e.Line <= len(lines) {
				e.Text = strings.TrimRight(lines[e.Line-1], "\r")
			}
		}
	}
	return e
}

// check looks for the handler in the classes, as the worker will.
func (k kit) check(ctx context.Context, src build.Source, out string) error {
	libraries := jars(filepath.Join(out, libraryDir))
	own := libraries
	for _, name := range []string{classesDir, "function.jar"} {
		if _, err := os.Stat(filepath.Join(out, name)); err == nil {
			own = []string{filepath.Join(out, name)}
		}
	}
	all := slices.Concat(own, libraries, []string{src.Dir})
	got, err := tool.Run(ctx, tool.Command{Path: k.tool("java"), Dir: src.Dir, Args: []string{
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp", k.sdk + ":" + k.worker, "run.myelin.worker.Check",
		"classpath=" + strings.Join(all, ":"), "own=" + strings.Join(own, ":"), "handler=" + src.Config.Spec.Handler}})
	var failed *tool.Failed
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &failed):
		return fmt.Errorf("check handler: %w", err)
	}
	msg := tool.Tail(got.All, 3)
	if src.Config.Spec.Handler != "" {
		msg = "spec.handler: " + msg
	}
	return &build.Error{Msg: msg}
}
