package cli

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/myelin-run/myelin/build/image"
)

// processorFor is the generic processor for machines of an architecture: for
// another than this one's the one that is named after it, such as
// processor-arm64 beside this machine's, or one that is compiled now.
func (a *app) processorFor(architecture string) (string, error) {
	own, err := processorProgram()
	if architecture == image.Architecture() {
		return own, err
	}
	if err == nil {
		if other := filepath.Join(filepath.Dir(own), "processor-"+architecture); exists(other) {
			return other, nil
		}
	}
	data, err := a.dataDir()
	if err != nil {
		return "", err
	}
	compiler, ok := a.parts.Builders(data)["golang"].(interface {
		Processor(ctx context.Context, architecture string) (string, error)
	})
	if !ok {
		return "", fmt.Errorf("this program cannot compile the processor for %[1]s: put one beside its own, as processor-%[1]s", architecture)
	}
	return compiler.Processor(a.ctx, architecture)
}
