package python

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/runtime/workercache"
)

// Prepare compiles the worker for an interpreter, so that no function has to
// wait for it: a path, a name, a version ("3.11") or "" for the default.
// cacheDir "" is [CacheDir]. What is there already is left alone. An error
// means that no interpreter was found or that functions run with the slower
// worker.
func Prepare(ctx context.Context, wanted, cacheDir string, log *slog.Logger) error {
	return new(Preparer).Prepare(ctx, wanted, cacheDir, log)
}

// Preparer is [Prepare] for who calls it often: it remembers what interpreters said they
// are, as long as their files are the same. The zero Preparer is ready for use.
type Preparer struct{ asked sync.Map }

// Prepare is like the function of that name.
func (p *Preparer) Prepare(ctx context.Context, wanted, cacheDir string, log *slog.Logger) error {
	it, err := p.interpreter(ctx, wanted)
	if err != nil {
		return err
	}
	if cacheDir == "" {
		if cacheDir, err = CacheDir(); err != nil {
			return err
		}
	}
	dir, err := install(cacheDir)
	if err != nil {
		return err
	}
	if hasNative(dir, it) {
		return nil
	}
	began := time.Now()
	if err := compile(ctx, dir, it); err != nil {
		return err
	}
	log.Info("compiled the python worker", "interpreter", it.path, "version", it.version, "took", time.Since(began).String())
	return nil
}

func (p *Preparer) interpreter(ctx context.Context, wanted string) (interpreter, error) {
	file, ok := fileOf(wanted)
	if had, found := p.asked.Load(file); ok && found {
		return had.(interpreter), nil
	}
	it, err := findInterpreter(ctx, wanted)
	if err == nil && ok && it.path == wanted { // and no shim, which may run another one the next time
		p.asked.Store(file, it)
	}
	return it, err
}

// file is that of an interpreter; it is another one when it was written to or replaced.
type file struct {
	path             string
	dev, ino         uint64
	size             int64
	written, changed unix.Timespec
}

func fileOf(path string) (file, bool) {
	var st unix.Stat_t
	if !filepath.IsAbs(path) || unix.Stat(path, &st) != nil {
		return file{}, false
	}
	return file{path, st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}, true
}

func hasNative(dir string, it interpreter) bool {
	_, err := os.Stat(filepath.Join(dir, native(it)))
	return err == nil
}

// compile builds the extension module in dir for it, tries it, and puts it in
// place in one step.
func compile(ctx context.Context, dir string, it interpreter) error {
	if hasNative(dir, it) {
		return nil
	}
	include, err := headers(ctx, it)
	if err != nil {
		return err
	}
	_, err = workercache.Compile(ctx, dir, native(it), filepath.Join("worker", "_myelin.c"), []string{"-I" + include}, func(path string) error {
		// Byte code spares each worker its own compilation; without it they
		// start a few milliseconds later. It is valid whenever its source was written, also
		// in an image, where all is of one time: what is in dir never changes.
		_ = workercache.Run(ctx, dir, it.path, "-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "worker", "sdk")
		return workercache.Run(ctx, dir, it.path, "-I", "-S", "-c", "import sys; sys.path.insert(0, sys.argv[1]); import _myelin", filepath.Dir(path))
	})
	return err
}

// native is the extension module for an interpreter, in the worker's directory.
func native(it interpreter) string { return filepath.Join("worker", "_myelin"+it.suffix) }

// headers returns the directory of Python.h.
func headers(ctx context.Context, it interpreter) (string, error) {
	out, err := osexec.CommandContext(ctx, it.path, "-I", "-S", "-c",
		"import sysconfig; print(sysconfig.get_paths()['include'])").Output()
	if err != nil {
		return "", fmt.Errorf("build worker: ask %s for its headers: %w", it.path, err)
	}
	dir := strings.TrimSpace(string(out))
	if _, err := os.Stat(filepath.Join(dir, "Python.h")); err != nil {
		return "", fmt.Errorf("build worker: no headers of python %s in %s (on Debian: apt install python3-dev)", it.version, dir)
	}
	return dir, nil
}
