package java

import (
	"context"
	"io/fs"
	"path/filepath"

	"github.com/myelin-run/myelin/runtime/workercache"
	sdk "github.com/myelin-run/myelin/sdk/java"
)

// PrepareFor compiles the worker below cacheDir for machines of another
// architecture: its classes are those of this machine's. wanted is as in [Find].
func PrepareFor(ctx context.Context, wanted, architecture, cacheDir string) error {
	m, err := findMachine(wanted)
	if err == nil {
		err = m.compiles()
	}
	if err != nil {
		return err
	}
	own, err := fs.Sub(worker, "worker")
	if err != nil {
		return err
	}
	dir, err := workercache.Install(cacheDir, "java", workercache.Files{"worker": own, "sdk": sdk.Files})
	if err != nil {
		return err
	}
	// What is in jni_md.h is the same on all Linux.
	include := filepath.Join(m.home, "include")
	if err := workercache.Cross(ctx, dir, library, librarySource, architecture, []string{"-I" + include, "-I" + include + "/linux"}); err != nil {
		return err
	}
	if _, err := m.compileJar(ctx, dir, sdkJar, "sdk", ""); err != nil {
		return err
	}
	_, err = m.compileJar(ctx, dir, workerJar, "worker", filepath.Join(dir, sdkJar))
	return err
}
