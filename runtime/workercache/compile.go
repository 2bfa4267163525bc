package workercache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func sorted(f Files) []string { return slices.Sorted(maps.Keys(f)) }

// Compile makes the shared library dir/name of one C source, unless it is there:
// built in a directory of its own, given to try, and put in place in one step.
// args go before the source. made tells whether it was compiled now.
func Compile(ctx context.Context, dir, name, source string, args []string, try func(path string) error) (made bool, err error) {
	to := filepath.Join(dir, name)
	if _, err := os.Stat(to); err == nil {
		return false, nil
	}
	cc, err := compiler()
	if err != nil {
		return false, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(to), ".build-")
	if err != nil {
		return false, fmt.Errorf("build worker: the cache cannot be written (set MYELIN_CACHE to a directory that can): %w", err)
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, filepath.Base(name))
	all := append(options(dir, out), args...)
	if err := Run(ctx, tmp, cc, append(all, filepath.Join(dir, source))...); err != nil {
		return false, fmt.Errorf("build worker: %w", err)
	}
	if err := try(out); err != nil {
		return false, fmt.Errorf("try worker: %w", err)
	}
	if err := os.Chmod(out, 0o755); err != nil {
		return false, fmt.Errorf("build worker: %w", err)
	}
	if err := os.Rename(out, to); err != nil {
		return false, fmt.Errorf("build worker: %w", err)
	}
	return true, nil
}

// options are those of each compilation of what is in dir. Where it was compiled is
// not in it: images of functions are the same wherever they are made.
func options(dir, out string) []string {
	return []string{"-O2", "-fPIC", "-shared", "-pthread", "-ffile-prefix-map=" + dir + "=.", "-o", out}
}

func compiler() (string, error) {
	for _, name := range []string{os.Getenv("CC"), "cc", "gcc", "clang"} {
		if name == "" {
			continue
		}
		if path, err := osexec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("build worker: no C compiler in PATH (on Debian: apt install gcc libc6-dev)")
}

// Run runs a program in dir; the error has what it printed.
func Run(ctx context.Context, dir, path string, args ...string) error {
	cmd := osexec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(path), err, strings.TrimSpace(string(out)))
	}
	return nil
}
