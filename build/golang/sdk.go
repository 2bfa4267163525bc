package golang

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/myelin-run/myelin/build/artefact"
)

// sdk returns the directory of Myelin's sources, unpacked if need be.
func (b *Builder) sdk() (string, error) {
	if b.o.SourceDir != "" {
		dir, err := filepath.Abs(b.o.SourceDir)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(filepath.Join(dir, "processor", "program")); err != nil {
			return "", fmt.Errorf("MYELIN_SOURCE: %s is not a checkout of Myelin", dir)
		}
		return dir, nil
	}
	digest, err := b.sdkDigest()
	if err != nil {
		return "", err
	}
	parent := b.unpacked()
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("unpack sdk: %w", err)
	}
	sound := func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		return err == nil
	}
	dir, _, err := artefact.Place(parent, digest[:32], sound, func(tmp string) error {
		return eachSource(b.o.Sources, func(name string, text []byte) error {
			if err := os.MkdirAll(filepath.Join(tmp, filepath.Dir(name)), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(tmp, name), text, 0o644)
		})
	})
	if err != nil {
		return "", fmt.Errorf("unpack sdk: %w", err)
	}
	return filepath.Abs(dir)
}

func (b *Builder) unpacked() string { return filepath.Join(b.o.Data, "sdk") }

// Collect implements [build.Collector]: the sources of a Myelin that built
// nothing for a month go, and so do processors.
func (b *Builder) Collect() error {
	for _, dir := range []string{b.unpacked(), filepath.Join(b.o.Data, "cache", "processors")} {
		if err := artefact.Expire(dir, 30*24*time.Hour); err != nil {
			return fmt.Errorf("collect sdk: %w", err)
		}
	}
	return nil
}

// sdkDigest names Myelin's sources by their content.
func (b *Builder) sdkDigest() (string, error) {
	sources := b.o.Sources
	if b.o.SourceDir != "" {
		sources = os.DirFS(b.o.SourceDir)
	}
	if sources == nil {
		return "", errors.New("build go function: this program carries no sources of Myelin; set MYELIN_SOURCE to a checkout")
	}
	h := sha256.New()
	err := eachSource(sources, func(name string, text []byte) error {
		fmt.Fprintf(h, "%s %d\n", name, len(text))
		_, err := h.Write(text)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// parts are what a processor is compiled from.
var parts = []string{"go.mod", "go.sum", "asyncapi", "binding", "cmd/processor", "component", "dealer", "document", "event", "function", "gateway/wire", "processor", "quantity", "runtime", "sdk", "trigger"}

// eachSource calls do with the files of parts that are no tests.
func eachSource(sources fs.FS, do func(name string, text []byte) error) error {
	for _, part := range parts {
		err := fs.WalkDir(sources, part, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || d.Name() == "__pycache__" || d.Name() != part && d.Name()[0] == '.'):
				return fs.SkipDir
			case !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go") || path.Base(name)[0] == '.' || path.Base(name)[0] == '_' && path.Ext(name) == ".go":
				return nil
			}
			text, err := fs.ReadFile(sources, name)
			if err != nil {
				return err
			}
			return do(name, text)
		})
		if err != nil {
			return fmt.Errorf("read myelin's sources: %w", err)
		}
	}
	return nil
}
