package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// settle is how long the sources must be quiet: a save is several events.
const settle = 20 * time.Millisecond

// change is a save.
type change struct {
	files []string // relative to what is watched
	at    time.Time
}

// watch tells of changes below a directory. A function of one file is watched
// by its directory, because editors save by renaming.
type watch struct {
	root    string
	only    string // name of the file, "" for a directory
	w       *fsnotify.Watcher
	changes chan change // closed when nothing can be watched any more
	err     error       // why, once changes is closed
	stop    chan struct{}
	done    sync.WaitGroup
}

func newWatch(path string) (*watch, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("watch sources: %w", err)
	}
	w := &watch{root: path, changes: make(chan change), stop: make(chan struct{})}
	if !fi.IsDir() {
		w.root, w.only = filepath.Dir(path), filepath.Base(path)
	}
	if w.w, err = fsnotify.NewWatcher(); err != nil {
		return nil, fmt.Errorf("watch sources: %w", err)
	}
	if err := w.add(w.root); err != nil {
		_ = w.w.Close()
		return nil, fmt.Errorf("watch sources: %w", err)
	}
	w.done.Go(w.run)
	return w, nil
}

func (w *watch) close() {
	close(w.stop)
	_ = w.w.Close()
	w.done.Wait()
}

// add watches a directory and those below it.
func (w *watch) add(dir string) error {
	if w.only != "" {
		return w.w.Add(dir)
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone meanwhile
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		case path != w.root && skipped(d.Name()):
			return filepath.SkipDir
		}
		return w.w.Add(path)
	})
}

// run gathers events into changes.
func (w *watch) run() {
	defer close(w.changes)
	files, last := map[string]bool{}, time.Time{}
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var out chan change
	for {
		next := change{slices.Sorted(maps.Keys(files)), last}
		select {
		case <-w.stop:
			return
		case e, ok := <-w.w.Events:
			if !ok {
				w.err = errors.New("watch sources: the watcher ended")
				return
			}
			if name := w.concerns(e); name != "" {
				files[name], last, out = true, time.Now(), nil
				timer.Reset(settle)
			}
		case <-w.w.Errors: // events were lost: take it for a change
			files["(many files)"], last, out = true, time.Now(), nil
			timer.Reset(settle)
		case <-timer.C:
			out = w.changes
		case out <- next:
			files, out = map[string]bool{}, nil
		}
	}
}

// concerns returns the name of the file whose change the event is, "" if it
// does not matter. New directories are watched from then on.
func (w *watch) concerns(e fsnotify.Event) string {
	name, err := filepath.Rel(w.root, e.Name)
	base := filepath.Base(e.Name)
	if err != nil || e.Op == fsnotify.Chmod || skipped(base) {
		return ""
	}
	if w.only != "" {
		if base != w.only {
			return ""
		}
		return name
	}
	if fi, err := os.Lstat(e.Name); err == nil && fi.IsDir() && e.Has(fsnotify.Create) {
		_ = w.add(e.Name) // of use for what is saved in it later
	}
	return name
}

// skipped names what editors, tools and languages leave behind.
func skipped(name string) bool {
	switch name {
	case "__pycache__", "node_modules", "4913":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") || strings.HasSuffix(name, "~") ||
		strings.HasSuffix(name, ".swp") || strings.HasSuffix(name, ".swx") || strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".pyc")
}
