package dockerfile

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// madeUp is what a Dockerfile that was made here is called; no source has that name.
const madeUp = ".myelin.dockerfile"

// writeContext writes what a build may take files from: the sources, all of root's
// and as executable as they are, and the Dockerfile unless it is one of them.
func writeContext(w io.Writer, dir, text string) error {
	t := tar.NewWriter(w)
	if text != "" {
		if err := t.WriteHeader(&tar.Header{Name: madeUp, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return err
		}
		if _, err := io.WriteString(t, text); err != nil {
			return err
		}
	}
	if dir == "" {
		return t.Close()
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == madeUp {
			return err
		}
		return addFile(t, filepath.ToSlash(name), path, d)
	})
	return errors.Join(err, t.Close())
}

func addFile(t *tar.Writer, name, path string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755})
	case d.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777})
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(t, in)
	return err
}
