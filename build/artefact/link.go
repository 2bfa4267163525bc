package artefact

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Link makes to a copy of the tree at from that shares its files, or copies
// them where the file system cannot. Links stay links.
func Link(from, to string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return linkOne(path, filepath.Join(to, rel), d)
	})
	if err != nil {
		return fmt.Errorf("copy packages: %w", err)
	}
	return nil
}

// Move puts what is in from into to, an empty directory, by renaming, or by a
// copy if that is another file system. Links stay links.
func Move(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("move packages: %w", err)
	}
	for _, e := range entries {
		err := os.Rename(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
		if errors.Is(err, syscall.EXDEV) {
			return Link(from, to)
		}
		if err != nil {
			return fmt.Errorf("move packages: %w", err)
		}
	}
	return nil
}

func linkOne(path, dest string, d fs.DirEntry) error {
	if d.IsDir() {
		return os.MkdirAll(dest, 0o755)
	}
	if d.Type()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return os.Symlink(target, dest)
	}
	if os.Link(path, dest) == nil {
		return nil
	}
	fi, err := d.Info()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(dest, text, fi.Mode().Perm())
}
