package python

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/myelin-run/myelin/runtime/workercache"
)

// Prepare compiles the worker for an interpreter, so that no function has to
// wait for it: a path, a name, a version ("3.11") or "" for the default.
// cacheDir "" is [CacheDir]. What is there already is left alone. An error
// means that no interpreter was found or that functions run with the slower
// worker.
func Prepare(ctx context.Context, wanted, cacheDir string, log *slog.Logger) error {
	it, err := findInterpreter(ctx, wanted)
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
		// start a few milliseconds later.
		_ = workercache.Run(ctx, dir, it.path, "-I", "-S", "-m", "compileall", "-q", "worker", "sdk")
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
