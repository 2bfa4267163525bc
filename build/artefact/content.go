package artefact

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/myelin-run/myelin/build"
)

// Content names what is in an artefact's directory, file by file, as "sha256:...":
// names, contents, links, and whether they can be executed; and what artefact.json
// says, but for this name itself.
func Content(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		return "", fmt.Errorf("read artefact: %w", err)
	}
	var a build.Artefact
	if err := json.Unmarshal(text, &a); err != nil {
		return "", fmt.Errorf("read artefact: damaged: %w", err)
	}
	a.Content = ""
	meta, err := json.Marshal(a)
	if err != nil {
		return "", fmt.Errorf("read artefact: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "myelin artefact 1\n%d\n%s\n", len(meta), meta)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == metaFile {
			return err
		}
		return describeFile(h, path, filepath.ToSlash(rel), d)
	})
	if err != nil {
		return "", fmt.Errorf("read artefact: %w", err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// describeFile writes all that there is to know of one file; lengths keep names and
// contents apart.
func describeFile(w io.Writer, path, name string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		fmt.Fprintf(w, "d %q\n", name)
		return nil
	case d.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		fmt.Fprintf(w, "l %q %q\n", name, target)
		return err
	case !d.Type().IsRegular():
		return fmt.Errorf("%s is no file, directory or link", path)
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
	sum := sha256.New()
	if _, err := io.Copy(sum, in); err != nil {
		return err
	}
	fmt.Fprintf(w, "f %q %v %x\n", name, info.Mode()&0o100 != 0, sum.Sum(nil))
	return nil
}
