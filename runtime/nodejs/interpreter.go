package nodejs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// oldest is the oldest major version that the worker's code runs with.
const oldest = 18

// interpreter is a Node.js that runs and says what it is.
type interpreter struct {
	path    string // what it calls itself: no shim
	version string // "20.11.1"
}

// Find returns the Node.js that a function would run with: its path and its
// version, such as "20.11.1". wanted is a path, a name, a version ("20",
// "20.11"), or "" for any.
func Find(ctx context.Context, wanted string) (path, version string, err error) {
	it, err := findInterpreter(ctx, wanted)
	return it.path, it.version, err
}

func findInterpreter(ctx context.Context, wanted string) (interpreter, error) {
	if strings.ContainsRune(wanted, '/') {
		return ask(ctx, wanted)
	}
	names, version := []string{wanted}, ""
	if wanted == "" || wanted[0] >= '0' && wanted[0] <= '9' {
		names, version = []string{"node", "nodejs"}, wanted
	}
	if version != "" {
		names = append([]string{"node" + version, "node-" + version}, names...)
	}
	var found []string
	for _, path := range inPath(names) {
		it, err := ask(ctx, path)
		switch {
		case ctx.Err() != nil:
			return it, fmt.Errorf("find node: %w", ctx.Err())
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
	msg := "node not found"
	if wanted != "" {
		msg = strings.TrimSpace("node "+strings.TrimPrefix(wanted, "node")) + " not found"
	}
	msg += ": looked for " + strings.Join(names, ", ") + " in PATH"
	if len(found) > 0 {
		msg += " (found " + strings.Join(found, ", ") + ")"
	} else {
		msg += " (on Debian: apt install nodejs)"
	}
	return errors.New(msg)
}

// inPath lists every file of PATH with one of the names that this user may
// run, in order of the names, links to the same file once.
func inPath(names []string) (paths []string) {
	seen := map[string]bool{}
	for _, name := range names {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			path := filepath.Join(dir, name)
			fi, err := os.Stat(path)
			if err != nil || !fi.Mode().IsRegular() || !filepath.IsAbs(path) || unix.Access(path, unix.X_OK) != nil {
				continue
			}
			if real, err := filepath.EvalSymlinks(path); err == nil && !seen[real] {
				seen[real] = true
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
	cmd := osexec.CommandContext(ctx, path, "-p", "process.execPath + '\\n' + process.versions.node")
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return interpreter{}, fmt.Errorf("ask %s what it is: %w: %s", path, err, strings.TrimSpace(stderr.String()))
	}
	real, version, ok := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if !ok {
		return interpreter{}, fmt.Errorf("ask %s what it is: it is no node: %.100q", path, out)
	}
	it := interpreter{real, version}
	if !supported(version) {
		return it, fmt.Errorf("%s is node %s, and %d or later is needed", path, version, oldest)
	}
	return it, nil
}

func supported(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= oldest
}

func matches(version, wanted string) bool {
	return wanted == "" || version == wanted || strings.HasPrefix(version, wanted+".")
}

// recorded returns the Node.js for which the artefact in dir was made, "" if it
// does not say or this user cannot run it: its packages may fit no other.
func recorded(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "interpreter"))
	if err != nil {
		return ""
	}
	path := strings.TrimSpace(string(text))
	if !filepath.IsAbs(path) || unix.Access(path, unix.X_OK) != nil {
		return ""
	}
	return path
}
