package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/build"
)

// skipped are directories that tools leave beside sources.
var skipped = map[string]bool{
	".git": true, ".hg": true, ".svn": true, "__pycache__": true, ".venv": true,
	".tox": true, ".mypy_cache": true, ".pytest_cache": true, ".ruff_cache": true,
}

// copyDir copies the tree at from into to, an empty directory, without what
// its .myelinignore names.
func copyDir(from, to string, b *budget) error {
	root, err := filepath.EvalSymlinks(from)
	if err != nil {
		return fmt.Errorf("read sources: %w", err)
	}
	ignored, err := readIgnore(root)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("read sources: %w", err)
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() && skipped[d.Name()] || ignored.match(rel, d.IsDir()) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		return copyEntry(root, rel, d, to, b)
	})
}

func copyEntry(root, rel string, d fs.DirEntry, to string, b *budget) error {
	path, dest := filepath.Join(root, rel), filepath.Join(to, rel)
	switch d.Type() {
	case fs.ModeDir:
		return os.Mkdir(dest, 0o755)
	case fs.ModeSymlink:
		return copyLink(root, rel, dest, b)
	case 0:
		fi, err := d.Info()
		if err != nil {
			return fmt.Errorf("read sources: %w", err)
		}
		return copyFile(path, dest, fi, b, rel)
	}
	return nil // a socket or a pipe is no source
}

// copyLink keeps a link that stays within root, written relative.
func copyLink(root, rel, dest string, b *budget) error {
	if err := b.spend(rel, 0); err != nil {
		return err
	}
	target, err := filepath.EvalSymlinks(filepath.Join(root, rel))
	if errors.Is(err, fs.ErrNotExist) {
		return &build.Error{File: rel, Msg: "the symbolic link leads nowhere"}
	}
	if err != nil {
		return &build.Error{File: rel, Msg: "the symbolic link cannot be followed: " + err.Error()}
	}
	inside, err := filepath.Rel(root, target)
	if err != nil || !filepath.IsLocal(inside) {
		return &build.Error{File: rel, Msg: "the symbolic link leaves the directory of the sources: copy what it names, or list it in .myelinignore"}
	}
	link, err := filepath.Rel(filepath.Dir(filepath.Join(root, rel)), target)
	if err != nil {
		return err
	}
	return os.Symlink(link, dest)
}

func copyFile(from, to string, fi fs.FileInfo, b *budget, shown string) error {
	if err := b.spend(shown, fi.Size()); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return &build.Error{File: shown, Msg: "cannot be read: " + strings.TrimPrefix(err.Error(), "open "+from+": ")}
	}
	defer in.Close()
	mode := fs.FileMode(0o644)
	if fi.Mode()&0o111 != 0 {
		mode = 0o755
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	// A file that grows meanwhile stays within what was counted.
	_, err = io.Copy(out, io.LimitReader(in, fi.Size()))
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", shown, err)
	}
	return nil
}
