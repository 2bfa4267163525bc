package golang

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/tool"
)

// Processor compiles the generic processor, which runs functions that are no
// programs themselves, for an architecture, and returns its path. It is kept for
// the next time.
func (b *Builder) Processor(ctx context.Context, architecture string) (string, error) {
	gotool, err := goTool()
	if err != nil {
		return "", err
	}
	sdk, err := b.sdk()
	if err != nil {
		return "", err
	}
	digest, err := b.sdkDigest()
	if err != nil {
		return "", err
	}
	version, err := b.version(ctx, gotool, architecture)
	if err != nil {
		return "", err
	}
	parent := filepath.Join(b.o.Data, "cache", "processors")
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("compile processor: %w", err)
	}
	there := func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "processor"))
		return err == nil
	}
	dir, _, err := artefact.Place(parent, digest[:32]+"-"+version+"-"+architecture, there, func(tmp string) error {
		out, err := tool.Run(ctx, tool.Command{Path: gotool, Dir: sdk, Env: b.environment(architecture), Args: []string{
			"build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", filepath.Join(tmp, "processor"), "./cmd/processor"}})
		if err != nil {
			err = fmt.Errorf("%w: %s", err, tool.Tail(out.All, 5))
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("compile processor for %s: %w", architecture, err)
	}
	return filepath.Join(dir, "processor"), nil
}
