package nodejs

import (
	"context"

	"github.com/myelin-run/myelin/runtime/workercache"
)

// PrepareFor compiles the worker's addon below cacheDir for machines of another
// architecture. It is the same for every Node.js.
func PrepareFor(ctx context.Context, architecture, cacheDir string) error {
	all, err := files()
	if err != nil {
		return err
	}
	dir, err := workercache.Install(cacheDir, "nodejs", all)
	if err != nil {
		return err
	}
	return workercache.Cross(ctx, dir, addon, addonSource, architecture, nil)
}
