// Package shell packages functions that are scripts or programs: it copies
// them and sees to it that they can be started. It knows nothing of how they
// are run.
package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/machine"
)

// Builder builds shell functions.
type Builder struct{}

// New makes the builder.
func New() *Builder { return &Builder{} }

// Inputs implements [build.Builder]. Nothing else decides the outcome.
func (*Builder) Inputs(_ context.Context, src build.Source) ([]string, error) {
	if src.Foreign() != "" {
		return []string{"shell", src.Foreign()}, nil
	}
	return []string{"shell"}, nil
}

// Crosses implements [build.Crosser]: scripts are the same everywhere.
func (*Builder) Crosses(architecture string) bool { return machine.Known(architecture) }

// Build implements [build.Builder]: the sources are in src of the artefact.
// A handler that names no file of theirs must be a program of this machine.
func (*Builder) Build(_ context.Context, src build.Source, out string, log io.Writer) (build.Result, error) {
	if err := refuseCommands(src); err != nil {
		return build.Result{}, err
	}
	to := filepath.Join(out, "src")
	if err := os.CopyFS(to, os.DirFS(src.Dir)); err != nil {
		return build.Result{}, fmt.Errorf("copy sources: %w", err)
	}
	file, _, _ := strings.Cut(src.Config.Spec.Handler, ":")
	script, err := find(to, file)
	if err != nil {
		return build.Result{}, err
	}
	if script == "" {
		_, err := exec.LookPath(file)
		if err != nil {
			err = &build.Error{Msg: fmt.Sprintf("handler %s: neither a file of the function nor a program in PATH", file)}
		}
		return build.Result{}, err
	}
	if err := prepare(to, script, log); err != nil {
		return build.Result{}, err
	}
	return build.Result{}, fits(filepath.Join(to, script), script, src)
}

// fits refuses a program of its own that is for other machines.
func fits(path, script string, src build.Source) error {
	want := src.Foreign()
	if want == "" {
		return nil
	}
	is, ok, err := machine.OfFile(path)
	if err == nil && ok && is != want {
		err = &build.Error{File: script, Msg: fmt.Sprintf("it is a program for %s, and does not run on %s", is, want)}
	}
	return err
}

func refuseCommands(src build.Source) error {
	b := src.Config.Spec.Build
	if len(b.Dependencies) > 0 {
		return &build.Error{Msg: "spec.build.dependencies: a shell function has none; install what it needs in its image by spec.build.commands"}
	}
	if len(b.Commands) > 0 {
		return &build.Error{Msg: "spec.build.commands of a shell function need the build of a container image, " + build.HowImage}
	}
	return nil
}

// find returns the handler's path in dir, "" if there is no such file.
func find(dir, file string) (string, error) {
	if file == "" {
		return "", &build.Error{Msg: "spec.handler is empty: expected the name of a script, such as hello.sh"}
	}
	for _, name := range []string{file, file + ".sh"} {
		if !filepath.IsLocal(name) {
			continue
		}
		fi, err := os.Stat(filepath.Join(dir, name))
		if err == nil && fi.Mode().IsRegular() {
			return name, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find handler: %w", err)
		}
	}
	return "", nil
}

// prepare marks the script executable and checks that something can run it. A
// script that does not say what gets the system's shell.
func prepare(dir, script string, log io.Writer) error {
	path := filepath.Join(dir, script)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read handler: %w", err)
	}
	switch {
	case bytes.HasPrefix(text, []byte("#!")):
		line, _, _ := bytes.Cut(text, []byte("\n"))
		if bytes.HasSuffix(line, []byte("\r")) {
			return &build.Error{File: script, Line: 1, Text: string(line[:len(line)-1]), Msg: "lines end in CR LF, which no interpreter's name does: save the file with LF"}
		}
		if err := checkInterpreter(script, string(line)); err != nil {
			return err
		}
	case bytes.HasPrefix(text, []byte("\x7fELF")):
	case bytes.IndexByte(text, 0) >= 0:
		return &build.Error{File: script, Msg: "neither a script nor a program of this system"}
	default:
		fmt.Fprintf(log, "%s names no interpreter in its first line: /bin/sh runs it\n", script)
		text = append([]byte("#!/bin/sh\n"), text...)
		if err := os.WriteFile(path, text, 0o755); err != nil {
			return fmt.Errorf("write handler: %w", err)
		}
	}
	if err := os.Chmod(path, 0o755); err != nil {
		return fmt.Errorf("mark handler executable: %w", err)
	}
	return nil
}

func checkInterpreter(script, line string) error {
	words := strings.Fields(strings.TrimPrefix(line, "#!"))
	wrong := func(what string) error {
		return &build.Error{File: script, Line: 1, Text: line, Msg: what}
	}
	if len(words) == 0 {
		return wrong("no interpreter is named: expected #!/bin/sh or the like")
	}
	if _, err := exec.LookPath(words[0]); err != nil || !filepath.IsAbs(words[0]) {
		return wrong("interpreter " + words[0] + " is not on this machine")
	}
	if filepath.Base(words[0]) != "env" {
		return nil
	}
	for _, w := range words[1:] {
		if strings.HasPrefix(w, "-") || strings.Contains(w, "=") {
			continue
		}
		if _, err := exec.LookPath(w); err != nil {
			return wrong("interpreter " + w + " is not in PATH")
		}
		return nil
	}
	return wrong("no interpreter is named after env")
}
