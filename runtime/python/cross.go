package python

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/myelin-run/myelin/runtime/workercache"
)

// PrepareFor compiles the worker below cacheDir for a Python of the same version as
// wanted, as in [Prepare], on machines of another architecture.
func PrepareFor(ctx context.Context, wanted, architecture, cacheDir string) (err error) {
	it, err := findInterpreter(ctx, wanted)
	if err != nil {
		return err
	}
	here, there := workercache.Triple(runtime.GOARCH), workercache.Triple(architecture)
	if !strings.Contains(it.suffix, here) {
		return fmt.Errorf("build worker: extension modules of %s end in %s, and what they would end in on %s is not known", it.path, it.suffix, architecture)
	}
	it.suffix = strings.Replace(it.suffix, here, there, 1)
	dir, err := install(cacheDir)
	if err != nil {
		return err
	}
	include, err := headers(ctx, it)
	if err != nil {
		return err
	}
	// Debian has one header for each architecture. On Linux with 64 bits what this
	// machine's says holds for the other: the sizes of types.
	work, err := os.MkdirTemp("", "myelin-python-")
	if err != nil {
		return fmt.Errorf("build worker: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	own := filepath.Join(filepath.Dir(include), here)
	if _, err := os.Stat(own); err == nil {
		if err := os.Symlink(own, filepath.Join(work, there)); err != nil {
			return fmt.Errorf("build worker: %w", err)
		}
	}
	return workercache.Cross(ctx, dir, native(it), filepath.Join("worker", "_myelin.c"), architecture, []string{"-I" + include, "-I" + work})
}
