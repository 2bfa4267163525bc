package nodejs

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/myelin-run/myelin/runtime/workercache"
	sdk "github.com/myelin-run/myelin/sdk/nodejs"
)

//go:embed worker/addon.c worker/*.js
var worker embed.FS

const (
	addon       = "worker/addon.node"
	addonSource = "worker/addon.c"
)

func files() (workercache.Files, error) {
	own, err := fs.Sub(worker, "worker")
	return workercache.Files{"worker": own, "sdk": sdk.Files}, err
}

// Prepare compiles the worker's addon, so that no function has to wait for it.
// wanted is as in [Find]; cacheDir "" is the usual one. What is there already is
// left alone.
func Prepare(ctx context.Context, wanted, cacheDir string, log *slog.Logger) error {
	it, err := findInterpreter(ctx, wanted)
	if err != nil {
		return err
	}
	if cacheDir == "" {
		if cacheDir, err = workercache.Dir(); err != nil {
			return err
		}
	}
	began := time.Now()
	_, made, err := install(ctx, it, cacheDir)
	if made {
		log.Info("compiled the node worker", "node", it.path, "version", it.version, "took", time.Since(began).String())
	}
	return err
}

// install puts the worker below base and returns its directory.
func install(ctx context.Context, it interpreter, base string) (dir string, made bool, err error) {
	all, err := files()
	if err != nil {
		return "", false, err
	}
	if dir, err = workercache.Install(base, "nodejs", all); err != nil {
		return "", false, err
	}
	made, err = workercache.Compile(ctx, dir, addon, addonSource, nil, func(path string) error {
		return workercache.Run(ctx, dir, it.path, "-e", "require(process.argv[1])", path)
	})
	return dir, made, err
}

// findWorker takes a compiled worker from the cache, or compiles one there or,
// if the cache is closed to this user, in the scratch directory. There is no
// other form of it: without native code Node.js cannot map memory.
func (r *Runtime) findWorker(ctx context.Context) error {
	places, err := workercache.Places(r.set.Scratch)
	problems := []error{err}
	for _, base := range places {
		dir, made, err := install(ctx, r.it, base)
		if err == nil {
			if made {
				r.set.Log.Info("compiled the node worker", "node", r.it.path, "cache", base)
			}
			r.dir = dir
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("compile node worker: %w", ctx.Err())
		}
		problems = append(problems, err)
	}
	return fmt.Errorf("compile node worker (to mend it, install a C compiler, on Debian: apt install gcc libc6-dev, "+
		"or set MYELIN_CACHE to a writable directory): %w", errors.Join(problems...))
}

func (r *Runtime) file(name string) string { return filepath.Join(r.dir, name) }
