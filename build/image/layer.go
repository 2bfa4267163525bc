package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// file is one file, directory or link of an image.
type file struct {
	path string // absolute, in the image
	from string // on this machine; "" if data or link say all
	data []byte
	link string // what a symbolic link says
	mode fs.FileMode
}

// tree lists the files below dir, which go below to. What Python and Java compile
// for one place is left out: it holds times, and is not valid elsewhere.
func tree(dir, to string) (files []file, err error) { return treeBut(dir, to, "__pycache__") }

// treeBut is tree without the directories of one name, whatever Python compiled.
func treeBut(dir, to, name string) (files []file, err error) {
	err = filepath.WalkDir(dir, func(from string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, from)
		if err != nil {
			return err
		}
		f := file{path: path.Join(to, filepath.ToSlash(rel)), from: from}
		switch {
		case d.IsDir() && d.Name() == name:
			return fs.SkipDir
		case path.Ext(d.Name()) == ".jsa":
			return nil
		case d.IsDir():
			f.from, f.mode = "", fs.ModeDir|0o755
		case d.Type()&fs.ModeSymlink != 0:
			f.from = ""
			f.link, err = os.Readlink(from)
		case d.Type().IsRegular():
			f.mode, err = modeOf(d)
		default:
			return fmt.Errorf("%s is no file, directory or link", from)
		}
		files = append(files, f)
		return err
	})
	return files, err
}

// modeOf keeps of a file's mode whether it can be executed.
func modeOf(d fs.DirEntry) (fs.FileMode, error) {
	info, err := d.Info()
	if err != nil {
		return 0, err
	}
	if info.Mode()&0o111 != 0 {
		return 0o755, nil
	}
	return 0o644, nil
}

// withParents sorts files and adds the directories that they are in.
func withParents(files []file) []file {
	known := map[string]bool{"/": true}
	all := slices.Clone(files)
	for _, f := range files {
		known[f.path] = true
	}
	for _, f := range files {
		for dir := path.Dir(f.path); !known[dir]; dir = path.Dir(dir) {
			known[dir] = true
			all = append(all, file{path: dir, mode: fs.ModeDir | 0o755})
		}
	}
	slices.SortFunc(all, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	return all
}

func writeTar(w io.Writer, files []file) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		if err := f.write(t); err != nil {
			return fmt.Errorf("add %s: %w", f.path, err)
		}
	}
	return t.Close()
}

func (f file) write(t *tar.Writer) error {
	h := &tar.Header{Name: strings.TrimPrefix(f.path, "/"), Mode: int64(f.mode.Perm()), ModTime: epoch, Format: tar.FormatPAX}
	switch {
	case f.link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.link, 0o777
		return t.WriteHeader(h)
	case f.mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		if f.mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		return t.WriteHeader(h)
	}
	h.Typeflag = tar.TypeReg
	if f.from == "" {
		h.Size = int64(len(f.data))
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		_, err := io.Copy(t, bytes.NewReader(f.data))
		return err
	}
	return f.copy(t, h)
}

// copy adds the content of a file of this machine.
func (f file) copy(t *tar.Writer, h *tar.Header) error {
	in, err := os.Open(f.from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	h.Size = info.Size()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(t, in)
	return err
}
