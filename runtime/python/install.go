package python

import (
	"embed"
	"io/fs"

	"github.com/myelin-run/myelin/runtime/workercache"
	sdk "github.com/myelin-run/myelin/sdk/python"
)

//go:embed worker/_myelin.c worker/_myelin_calls.h worker/_*.py
var worker embed.FS

// CacheDir is where compiled workers are kept; see [workercache.Dir].
func CacheDir() (string, error) { return workercache.Dir() }

// install puts the worker's files under cache, if they are not there yet, and
// returns their directory.
func install(cache string) (string, error) {
	own, err := fs.Sub(worker, "worker")
	if err != nil {
		return "", err
	}
	return workercache.Install(cache, "python", workercache.Files{"worker": own, "sdk": sdk.Files})
}
