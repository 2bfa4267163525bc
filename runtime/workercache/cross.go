package workercache

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
)

// gnu is what compilers call the architectures that workers are compiled for.
var gnu = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// Triple is how compilers and Debian call Linux on an architecture, such as
// aarch64-linux-gnu.
func Triple(architecture string) string { return gnu[architecture] + "-linux-gnu" }

// Cross is [Compile] for a machine of another architecture, on which nothing of it
// can be tried.
func Cross(ctx context.Context, dir, name, source, architecture string, args []string) error {
	to := filepath.Join(dir, name)
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	cc, err := osexec.LookPath(Triple(architecture) + "-gcc")
	if err != nil {
		return fmt.Errorf("build worker: no C compiler for %[1]s in PATH (on Debian: apt install gcc-%[2]s-linux-gnu libc6-dev-%[1]s-cross)", architecture, dashed(gnu[architecture]))
	}
	if err := build(ctx, dir, to, cc, append(args, filepath.Join(dir, source))); err != nil {
		return fmt.Errorf("for %s: %w", architecture, err)
	}
	return nil
}

// build compiles, and puts the result in place in one step.
func build(ctx context.Context, dir, to, cc string, args []string) (err error) {
	tmp, err := os.MkdirTemp(filepath.Dir(to), ".build-")
	if err != nil {
		return fmt.Errorf("build worker: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	out := filepath.Join(tmp, filepath.Base(to))
	if err := Run(ctx, tmp, cc, append(options(dir, out), args...)...); err != nil {
		return fmt.Errorf("build worker: %w", err)
	}
	if err := os.Chmod(out, 0o755); err != nil {
		return fmt.Errorf("build worker: %w", err)
	}
	return os.Rename(out, to)
}

// dashed is how Debian's packages have a name: without underscores.
func dashed(name string) string {
	if name == "x86_64" {
		return "x86-64"
	}
	return name
}
