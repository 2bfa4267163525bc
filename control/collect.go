package control

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/files"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
)

// What is kept of versions that nothing names, unless it is said otherwise.
const (
	DefaultKeepVersions = 50
	DefaultKeepFor      = 30 * 24 * time.Hour
	// DefaultLinger is how long a version runs on that nothing names.
	DefaultLinger = 10 * time.Minute
	collectEvery  = time.Hour
)

// collector removes versions that nothing needs, and then the artefacts that
// no function and no version runs.
type collector struct {
	catalog *catalog.Catalog
	data    string
	keep    plan.Keep
	log     *slog.Logger
}

// run collects now and then until ctx is done.
func (c *collector) run(ctx context.Context) error {
	t := time.NewTicker(collectEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := c.collect(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("collect what nothing needs", "error", err)
		}
	}
}

func (c *collector) collect(ctx context.Context) error {
	names, err := c.catalog.Published(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		gone, err := c.catalog.Collect(ctx, n, c.keep, false)
		for _, v := range gone {
			c.log.Info("removed a version that nothing needs", "function", n.String(), "version", v.Number)
		}
		errs = append(errs, err)
	}
	used, err := c.catalog.Artefacts(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	// What was built since then is spared for its age.
	keep := func(digest string) bool { return used[digest] }
	return errors.Join(append(errs, artefact.New(c.data).Collect(keep), files.NewStore(c.data).Collect(keep))...)
}
