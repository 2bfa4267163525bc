package shell

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/event"
)

// files is a binding of class file.
type files struct {
	name string
	of   *data.Files
}

func filesOf(handles map[string]any) (all []files) {
	for _, name := range slices.Sorted(maps.Keys(handles)) {
		if f, ok := handles[name].(*data.Files); ok {
			all = append(all, files{name, f})
		}
	}
	return all
}

// placeholders gives what an event has for the names of files.
func placeholders(ev *event.Event) func(string) (string, bool) {
	return func(name string) (string, bool) {
		switch name {
		case "id":
			return string(ev.ID), true
		case "body":
			return strings.TrimSpace(string(ev.Body)), true
		case "key":
			return string(ev.Key), true
		case "topic":
			return ev.Topic, true
		}
		header, ok := strings.CutPrefix(name, "header.")
		return string(ev.Header(header)), ok
	}
}

func nothing(string) (string, bool) { return "", false }

// with runs the process in the middle of its files: they are laid out in a
// directory of this run's own before it, and what it made is taken back after it,
// if it succeeded.
func (r *run) with(ctx context.Context, value func(string) (string, bool), args []string) error {
	if len(r.in.files) == 0 {
		return r.do(args)
	}
	ctx, done, err := r.in.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	dir, err := r.in.directory()
	if err != nil {
		return err
	}
	defer remove(dir)
	r.env = append(r.env, "MYELIN_FILES="+dir)
	for _, f := range r.in.files {
		if err := at(filepath.Join(dir, f.name), func(root *os.Root) error { return f.of.In(ctx, root, value) }); err != nil {
			return r.in.failed(err, event.ErrNotRun)
		}
	}
	if err := r.do(args); err != nil {
		return err
	}
	for _, f := range r.in.files {
		if err := at(filepath.Join(dir, f.name), func(root *os.Root) error { return f.of.Out(ctx, root) }); err != nil {
			return r.in.failed(err, event.ErrCrashed)
		}
	}
	return nil
}

// begin makes the context of one run, which ends when the instance is killed.
func (in *instance) begin(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.killed {
		cancel()
		return nil, nil, event.ErrNotRun
	}
	in.end = cancel
	return ctx, cancel, nil
}

// directory makes one for the files of one run.
func (in *instance) directory() (string, error) {
	if in.set.Scratch != "" {
		if err := os.MkdirAll(in.set.Scratch, 0o700); err != nil {
			return "", fmt.Errorf("make directory of files: %w", err)
		}
	}
	dir, err := os.MkdirTemp(in.set.Scratch, "files-")
	if err != nil {
		return "", fmt.Errorf("make directory of files: %w", err)
	}
	for _, f := range in.files {
		if err := os.Mkdir(filepath.Join(dir, f.name), 0o755); err != nil {
			remove(dir)
			return "", fmt.Errorf("make directory of files: %w", err)
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("find directory of files: %w", err)
	}
	return dir, nil
}

// at calls f with a directory out of which no name leads. The command may have
// put something else in its place.
func at(dir string, f func(*os.Root) error) error {
	if fi, err := os.Lstat(dir); err != nil || !fi.IsDir() {
		return errors.Join(data.Errorf(data.Misuse, "the directory of the files is not there any more"), err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return f(root)
}

// remove removes what a run has left, also where it took its own rights away.
func remove(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(path, 0o700) //nolint:gosec // a directory, which is to be removed
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

// failed is the outcome of an event whose files did not come or go. What would
// fail again is not tried again.
func (in *instance) failed(err, killed error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.killed {
		return killed
	}
	reason := data.ReasonOf(err)
	if reason == 0 {
		return err
	}
	err = event.Errorf(int(reason), "%v", err)
	switch reason {
	case data.Misuse, data.TooLarge, data.Unsupported, data.Denied:
		return event.Permanent(err)
	}
	return err
}
