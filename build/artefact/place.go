package artefact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	tempPrefix = ".tmp-"
	// freshTemp is how long a temporary directory is left alone although
	// nobody holds it: it may be between its making and its locking.
	freshTemp = time.Minute
)

// Place makes the directory parent/name in one step: fill writes into a
// temporary directory beside it, which is made readable to all, synced and
// renamed. Several processes may do so at once, each in a directory of its
// own; the first to end wins and the others take its result. A directory that
// is there already and that sound accepts is returned at once, with made
// false; one that sound refuses is replaced. If fill fails, nothing stays.
func Place(parent, name string, sound func(dir string) bool, fill func(tmp string) error) (dir string, made bool, err error) {
	dir = filepath.Join(parent, name)
	if sound(dir) {
		now := time.Now()
		_ = os.Chtimes(dir, now, now) // of use to Expire and Collect only
		return dir, false, nil
	}
	tmp, release, err := WorkDir(parent)
	if err != nil {
		return "", false, err
	}
	defer release()
	if err := fill(tmp); err != nil {
		return "", false, diskError(parent, err)
	}
	if err := publish(tmp); err != nil {
		return "", false, diskError(parent, fmt.Errorf("sync %s: %w", name, err))
	}
	made, err = settle(parent, tmp, dir, sound)
	if err != nil {
		return "", false, diskError(parent, fmt.Errorf("store %s: %w", name, err))
	}
	return dir, made, nil
}

// settle renames tmp to dir, unless another was faster; a damaged dir is moved
// out of the way first.
func settle(parent, tmp, dir string, sound func(string) bool) (made bool, err error) {
	for range 5 {
		err = os.Rename(tmp, dir)
		if err == nil {
			return true, syncPath(parent)
		}
		if !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.ENOTDIR) {
			return false, err
		}
		if sound(dir) {
			return false, nil
		}
		if err := discard(parent, dir); err != nil {
			return false, err
		}
	}
	return false, err
}

// discard removes a directory in two steps, so that it is never seen half.
func discard(parent, dir string) error {
	grave, release, err := temp(parent)
	if err != nil {
		return err
	}
	defer release()
	if err := os.Rename(dir, filepath.Join(grave, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// temp makes a temporary directory that is locked until release, which removes
// whatever is left of it.
func temp(parent string) (dir string, release func(), err error) {
	if dir, err = os.MkdirTemp(parent, tempPrefix); err != nil {
		return "", nil, err
	}
	lock, err := os.Open(dir)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, func() {
		_ = os.RemoveAll(dir) // renamed away if all went well
		_ = lock.Close()
	}, nil
}

// WorkDir makes a temporary directory in parent for one build, and removes
// those that killed builds left there. The caller calls release, which removes
// it.
func WorkDir(parent string) (dir string, release func(), err error) {
	_ = sweep(parent) // another time, then
	dir, release, err = temp(parent)
	return dir, release, diskError(parent, err)
}

// sweep removes the temporary directories of processes that were killed.
func sweep(parent string) error {
	dirs, err := filepath.Glob(filepath.Join(parent, tempPrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		if !abandoned(dir) {
			continue
		}
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

func abandoned(dir string) bool {
	fi, err := os.Stat(dir)
	if err != nil || time.Since(fi.ModTime()) < freshTemp {
		return false
	}
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// syncers is how many files are written to the disk at once: they share its flushes,
// of which a thousand one after the other take a second.
const syncers = 32

// publish makes a tree readable to all, executable where it is for its owner,
// and writes it to the disk.
func publish(root string) error {
	var syncs errgroup.Group
	syncs.SetLimit(syncers)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if d.IsDir() || fi.Mode()&0o111 != 0 {
			mode = 0o755
		}
		if fi.Mode().Perm() != mode {
			if err := os.Chmod(path, mode); err != nil {
				return err
			}
		}
		syncs.Go(func() error { return syncPath(path) })
		return nil
	})
	return errors.Join(err, syncs.Wait())
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// diskError says it in plain words when the disk is full.
func diskError(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("the disk of %s is full: %w", dir, err)
	}
	return err
}
