package artefact

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/myelin-run/myelin/function"
)

// format changes when artefacts are laid out differently.
const format = "myelin artefact 1"

// Digest names the artefact of sources in dir, of cfg, which is [Portable],
// and of inputs, what else decides the outcome.
func Digest(dir string, cfg function.Config, inputs []string) (string, error) {
	h := sha256.New()
	text, err := json.Marshal(cfg)
	if err != nil {
		return "", fmt.Errorf("digest configuration: %w", err)
	}
	field(h, format)
	field(h, string(text))
	for _, in := range inputs {
		field(h, in)
	}
	if err := tree(h, dir); err != nil {
		return "", fmt.Errorf("digest sources: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// DigestTree names the files in dir by their paths, contents and whether they
// can be executed.
func DigestTree(dir string) (string, error) {
	h := sha256.New()
	if err := tree(h, dir); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// field writes text so that no two lists of texts look the same.
func field(h hash.Hash, text string) { fmt.Fprintf(h, "%d:%s\n", len(text), text) }

func tree(h hash.Hash, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			field(h, rel+" -> "+target)
			return err
		}
		return file(h, rel, path)
	})
}

func file(h hash.Hash, rel, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	field(h, fmt.Sprintf("%s %t %d", rel, fi.Mode()&0o111 != 0, fi.Size()))
	_, err = io.Copy(h, f)
	return err
}
