package python

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// interpreter is a Python that runs and says what it is.
type interpreter struct {
	path    string // what it calls itself: no shim, and the venv's own if it is one
	version string // "3.11.2"
	suffix  string // of its extension modules
}

const askInterpreter = `import sys, _imp; print(sys.executable); print("%d.%d.%d" % sys.version_info[:3]); print(_imp.extension_suffixes()[0])`

// findInterpreter looks for wanted: a path, a name in PATH, a version
// ("3.11"), or "" for any Python 3.
func findInterpreter(ctx context.Context, wanted string) (interpreter, error) {
	if strings.ContainsRune(wanted, '/') {
		return ask(ctx, wanted)
	}
	names, version := []string{wanted}, ""
	if wanted == "" || wanted[0] >= '0' && wanted[0] <= '9' {
		names, version = []string{"python3", "python"}, wanted
	}
	if version != "" {
		names = append([]string{"python" + version}, names...)
	}
	var found []string
	for _, path := range inPath(names) {
		it, err := ask(ctx, path)
		switch {
		case ctx.Err() != nil:
			return it, fmt.Errorf("find python: %w", ctx.Err())
		case err != nil: // a shim for a version that is not there, say
		case !supported(it.version) || !matches(it.version, version):
			found = append(found, it.version+" at "+path)
		default:
			return it, nil
		}
	}
	return interpreter{}, notFound(wanted, names, found)
}

func notFound(wanted string, names, found []string) error {
	msg := "python not found"
	if wanted != "" {
		msg = strings.TrimSpace("python "+strings.TrimPrefix(wanted, "python")) + " not found"
	}
	msg += ": looked for " + strings.Join(names, ", ") + " in PATH"
	if len(found) > 0 {
		msg += " (found " + strings.Join(found, ", ") + ")"
	}
	return errors.New(msg)
}

// inPath lists every file of PATH with one of the names that this user may
// run, in order of the names.
func inPath(names []string) (paths []string) {
	for _, name := range names {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			path := filepath.Join(dir, name)
			fi, err := os.Stat(path)
			if err == nil && fi.Mode().IsRegular() && filepath.IsAbs(path) && unix.Access(path, unix.X_OK) == nil {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// ask runs path and lets it describe itself.
func ask(ctx context.Context, path string) (interpreter, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := osexec.CommandContext(ctx, path, "-I", "-S", "-c", askInterpreter)
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return interpreter{}, fmt.Errorf("run %s: %w: %s", path, err, firstLine(stderr.String()))
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 3 {
		return interpreter{}, fmt.Errorf("run %s: it is not python 3", path)
	}
	it := interpreter{lines[0], lines[1], lines[2]}
	if unix.Access(it.path, unix.X_OK) != nil {
		return it, fmt.Errorf("run %s: %s cannot be run by this user", path, it.path)
	}
	return it, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// supported is from 3.8 on.
func supported(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major == 3 && minor >= 8
}

func matches(version, wanted string) bool {
	return wanted == "" || version == wanted || strings.HasPrefix(version, wanted+".")
}
