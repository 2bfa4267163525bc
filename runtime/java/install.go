package java

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/myelin-run/myelin/runtime/workercache"
	sdk "github.com/myelin-run/myelin/sdk/java"
)

//go:embed worker/native.c worker/run
var worker embed.FS

const (
	library       = "worker/native.so"
	librarySource = "worker/native.c"
	sdkJar        = "sdk.jar"
	workerJar     = "worker.jar"
)

// Prepare compiles the worker, so that no function has to wait for it, and
// returns the jar that functions are compiled against and that of the worker.
// wanted is as in [Find]; cacheDir "" is the usual one. What is there already is
// left alone.
func Prepare(ctx context.Context, wanted, cacheDir string, log *slog.Logger) (sdkPath, workerPath string, err error) {
	m, err := findMachine(wanted)
	if err != nil {
		return "", "", err
	}
	if cacheDir == "" {
		if cacheDir, err = workercache.Dir(); err != nil {
			return "", "", err
		}
	}
	began := time.Now()
	dir, done, err := install(ctx, m, cacheDir)
	if err != nil {
		return "", "", err
	}
	if done {
		log.Info("compiled the java worker", "java", m.home, "version", m.version, "took", time.Since(began).String())
	}
	return filepath.Join(dir, sdkJar), filepath.Join(dir, workerJar), nil
}

// install puts the worker below base and returns its directory.
func install(ctx context.Context, m machine, base string) (dir string, done bool, err error) {
	own, err := fs.Sub(worker, "worker")
	if err != nil {
		return "", false, err
	}
	if dir, err = workercache.Install(base, "java", workercache.Files{"worker": own, "sdk": sdk.Files}); err != nil {
		return "", false, err
	}
	include := filepath.Join(m.home, "include")
	lib, err := workercache.Compile(ctx, dir, library, librarySource, []string{"-I" + include, "-I" + include + "/linux"}, func(string) error { return m.compiles() })
	if err != nil {
		return "", false, errors.Join(m.compiles(), err)
	}
	api, err := m.compileJar(ctx, dir, sdkJar, "sdk", "")
	if err != nil {
		return "", false, err
	}
	program, err := m.compileJar(ctx, dir, workerJar, "worker", filepath.Join(dir, sdkJar))
	if err != nil {
		return "", false, err
	}
	// Without the archive workers start more slowly, and that is all.
	archive, _ := m.archiveClasses(ctx, dir)
	return dir, lib || api || program || archive, nil
}

// archive is where the classes of the worker are kept as this Java has them in
// memory.
func (m machine) archive(dir string) string {
	release, _ := os.ReadFile(filepath.Join(m.home, "release"))
	sum := sha256.Sum256(append([]byte(m.home+"\n"), release...))
	return filepath.Join(dir, "classes-"+m.version+"-"+hex.EncodeToString(sum[:4])+".jsa")
}

func (m machine) classPath(dir string) string {
	return filepath.Join(dir, sdkJar) + ":" + filepath.Join(dir, workerJar)
}

// archiveClasses lets a worker run without a processor and keep its classes.
func (m machine) archiveClasses(ctx context.Context, dir string) (done bool, err error) {
	to := m.archive(dir)
	if _, err := os.Stat(to); err == nil {
		return false, nil
	}
	tmp, err := os.MkdirTemp(dir, ".build-")
	if err != nil {
		return false, fmt.Errorf("archive classes: %w", err)
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "classes.jsa")
	args := append(machineOptions(m, nil), "-Xlog:disable", "-XX:ArchiveClassesAtExit="+out, "-cp", m.classPath(dir), "run.myelin.worker.Train",
		"native="+filepath.Join(dir, library), "handler=run.myelin.worker.Train")
	if err := workercache.Run(ctx, tmp, m.java(), args...); err != nil {
		return false, fmt.Errorf("archive classes: %w", err)
	}
	if err := os.Chmod(out, 0o644); err != nil {
		return false, fmt.Errorf("archive classes: %w", err)
	}
	return true, os.Rename(out, to)
}

// findWorker takes a compiled worker from the cache, or compiles one there or,
// if the cache is closed to this user, in the scratch directory. There is no
// other form of it: without native code Java cannot be passed memory.
func (r *Runtime) findWorker(ctx context.Context) error {
	places, err := workercache.Places(r.set.Scratch)
	problems := []error{err}
	for _, base := range places {
		dir, done, err := install(ctx, r.m, base)
		if err == nil {
			if done {
				r.set.Log.Info("compiled the java worker", "java", r.m.home, "cache", base)
			}
			r.dir = dir
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("compile java worker: %w", ctx.Err())
		}
		problems = append(problems, err)
	}
	return fmt.Errorf("compile java worker (to mend it, install a JDK and a C compiler, on Debian: apt install openjdk-%d-jdk-headless gcc libc6-dev, "+
		"or set MYELIN_CACHE to a writable directory): %w", r.m.feature(), errors.Join(problems...))
}
