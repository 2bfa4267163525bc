package artefact

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Expire removes the directories in parent that [Place] neither made nor
// returned for age.
func Expire(parent string, age time.Duration) error { return Bound(parent, math.MaxInt64, age) }

// kept is a directory that [Place] made.
type kept struct {
	path string
	used time.Time
}

// Bound does what [Expire] does, and then removes what was not used for longest
// until the rest has no more than most bytes. What was used in the last ten minutes
// stays. It may be called while others use parent.
func Bound(parent string, most int64, age time.Duration) error {
	entries, err := os.ReadDir(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var all []kept
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && !strings.HasPrefix(e.Name(), tempPrefix) {
			all = append(all, kept{path: filepath.Join(parent, e.Name()), used: fi.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return b.used.Compare(a.used) }) // those used last come first
	var total int64
	var errs []error
	for _, k := range all {
		if most < math.MaxInt64 {
			total += sizeOf(k.path)
		}
		idle := time.Since(k.used)
		if idle >= age || total > most && idle >= min(grace, age) {
			errs = append(errs, discard(parent, k.path))
		}
	}
	return errors.Join(errs...)
}

// sizeOf is how many bytes the files below dir have; what goes meanwhile has none.
func sizeOf(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // another is removing it
		}
		if fi, err := d.Info(); err == nil {
			size += fi.Size()
		}
		return nil
	})
	return size
}
