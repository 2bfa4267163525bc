package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/control/store"
)

// artefacts finds artefacts in the data directory.
type artefacts struct{ data string }

func (a artefacts) Artefact(_ context.Context, digest string) (build.Artefact, error) {
	found, err := artefact.New(a.data).Get(digest)
	if errors.Is(err, fs.ErrNotExist) {
		return found, fmt.Errorf("it was never built here, or was removed: %w", store.ErrNotFound)
	}
	return found, err
}
