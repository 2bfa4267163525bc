package source

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/build"
)

type archiveKind int

const (
	plain archiveKind = iota
	zipped
	tarred
	gzipped
)

func archiveName(name string) bool {
	name = strings.ToLower(name)
	for _, ext := range []string{".zip", ".tar", ".tar.gz", ".tgz"} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

// sniff looks at the first bytes of a file.
func sniff(file string) (archiveKind, error) {
	f, err := os.Open(file)
	if err != nil {
		return plain, mistake("read sources: %v", err)
	}
	defer f.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return plain, fmt.Errorf("read sources: %w", err)
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return zipped, nil
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzipped, nil
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return tarred, nil
	}
	return plain, nil
}

// unpack puts the directory workDir of an archive into dest. Without workDir
// an archive that holds one directory and nothing else is entered.
func (s Stager) unpack(file, shown string, kind archiveKind, workDir, dest string, b *budget) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dest), ".unpack-")
	if err != nil {
		return fmt.Errorf("unpack %s: %w", shown, err)
	}
	defer os.RemoveAll(tmp)
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", shown, err)
	}
	defer root.Close()
	x := &extraction{root: root, budget: &budget{bytes: b.bytes, files: b.files}}
	switch kind {
	case zipped:
		err = x.zip(file)
	case gzipped:
		err = x.gzip(file)
	case tarred:
		err = x.tarFile(file)
	default:
		err = errors.New("it is none")
	}
	if err != nil {
		return unpackError(shown, err)
	}
	if strings.EqualFold(filepath.Ext(shown), ".jar") { // its directories are packages
		return copyDir(tmp, dest, b)
	}
	from, err := within(tmp, workDir)
	if err != nil {
		return err
	}
	return copyDir(from, dest, b)
}

func unpackError(shown string, err error) error {
	var own *build.Error
	var path *fs.PathError
	if errors.As(err, &own) {
		return err
	}
	if errors.As(err, &path) { // the disk's fault
		return fmt.Errorf("unpack %s: %w", shown, err)
	}
	return &build.Error{File: shown, Msg: "broken archive: " + err.Error()}
}

// within finds the function's directory in an unpacked tree.
func within(root, workDir string) (string, error) {
	if workDir = strings.Trim(workDir, "/"); workDir != "" {
		if !filepath.IsLocal(workDir) {
			return "", mistake("workDir %s leaves the sources", workDir)
		}
		dir, err := filepath.EvalSymlinks(filepath.Join(root, workDir))
		if err != nil {
			return "", mistake("workDir %s: there is no such directory in the sources", workDir)
		}
		rel, err := filepath.Rel(root, dir)
		if fi, statErr := os.Stat(dir); err != nil || statErr != nil || !filepath.IsLocal(rel) || !fi.IsDir() {
			return "", mistake("workDir %s is not a directory of the sources", workDir)
		}
		return dir, nil
	}
	entries, err := os.ReadDir(root)
	if err == nil && len(entries) == 1 && entries[0].IsDir() {
		return filepath.Join(root, entries[0].Name()), nil
	}
	return root, err
}

// extraction writes entries below root, and cannot write elsewhere.
type extraction struct {
	root   *os.Root
	budget *budget
}

func (x *extraction) zip(file string) error {
	r, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			return err
		}
		err = x.entry(f.Name, f.Mode(), "", in)
		_ = in.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *extraction) gzip(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	return x.tar(z)
}

func (x *extraction) tarFile(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return x.tar(f)
}

func (x *extraction) tar(r io.Reader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := x.entry(h.Name, h.FileInfo().Mode(), h.Linkname, tr); err != nil {
			return err
		}
	}
}

// entry writes one file, directory or link. Links are checked when the tree is
// copied on.
func (x *extraction) entry(name string, mode fs.FileMode, link string, in io.Reader) error {
	clean := path.Clean(strings.ReplaceAll(name, `\`, "/"))
	if !filepath.IsLocal(clean) || strings.HasPrefix(name, "/") {
		return &build.Error{File: name, Msg: "the archive's entry leaves its directory"}
	}
	if clean == "." {
		return nil
	}
	if mode.IsDir() {
		if err := x.budget.spend(name, 0); err != nil {
			return err
		}
		return x.root.MkdirAll(clean, 0o755)
	}
	if err := x.root.MkdirAll(path.Dir(clean), 0o755); err != nil {
		return err
	}
	switch {
	case mode&fs.ModeSymlink != 0:
		return x.link(clean, link, in)
	case mode.IsRegular():
		return x.file(clean, mode, in)
	}
	return nil // devices and the like are no sources
}

func (x *extraction) link(name, target string, in io.Reader) error {
	if target == "" { // a zip keeps it as the content
		text, err := io.ReadAll(io.LimitReader(in, 4096))
		if err != nil {
			return err
		}
		target = string(text)
	}
	if err := x.budget.spend(name, 0); err != nil {
		return err
	}
	return x.root.Symlink(target, name)
}

// file counts what it writes, not what the archive says it will be.
func (x *extraction) file(name string, mode fs.FileMode, in io.Reader) error {
	perm := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		perm = 0o755
	}
	out, err := x.root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, io.LimitReader(in, x.budget.bytes+1))
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return x.budget.spend(name, n)
}
