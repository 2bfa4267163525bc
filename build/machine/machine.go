// Package machine tells for which kind of machine programs and libraries are, and
// finds what has none for the one that a function shall run on. It knows no
// language.
package machine

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Architectures that functions are built for.
const (
	AMD64 = "amd64"
	ARM64 = "arm64"
)

// Known tells whether functions are built for an architecture.
func Known(architecture string) bool { return architecture == AMD64 || architecture == ARM64 }

// GNU is what compilers and Linux call an architecture: "aarch64" for arm64.
func GNU(architecture string) string {
	if architecture == ARM64 {
		return "aarch64"
	}
	return "x86_64"
}

// header is how much of a file says what machine it is for.
const header = 20

// Of says for which architecture the program or library is that begins with start;
// ok is false if it is none of Linux.
func Of(start []byte) (architecture string, ok bool) {
	if len(start) < header || !bytes.HasPrefix(start, []byte("\x7fELF")) {
		return "", false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if start[5] == 2 {
		order = binary.BigEndian
	}
	switch kind := order.Uint16(start[18:]); kind {
	case 62:
		return AMD64, true
	case 183:
		return ARM64, true
	default:
		return fmt.Sprintf("machine %d", kind), true
	}
}

// OfFile is [Of] a file of this machine.
func OfFile(path string) (architecture string, ok bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	return of(f)
}

func of(r io.Reader) (architecture string, ok bool, err error) {
	start := make([]byte, header)
	if _, err := io.ReadFull(r, start); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "", false, nil
	} else if err != nil {
		return "", false, err
	}
	architecture, ok = Of(start)
	return architecture, ok, nil
}

// Unfit names the parts of dir that have programs or libraries, and none for
// architecture, with what they are for: what has them for several machines is fit
// for each. partOf says to which part a file belongs, by its path in dir. Jars are looked into.
func Unfit(dir, architecture string, partOf func(rel string) string) (parts map[string]string, err error) {
	found := map[string]map[string]bool{}
	note := func(rel, is string) {
		part := partOf(rel)
		if found[part] == nil {
			found[part] = map[string]bool{}
		}
		found[part][is] = true
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if filepath.Ext(rel) == ".jar" {
			return inJar(path, func(is string) { note(rel, is) })
		}
		is, ok, err := OfFile(path)
		if ok {
			note(rel, is)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for programs in %s: %w", dir, err)
	}
	parts = map[string]string{}
	for part, kinds := range found {
		if !kinds[architecture] {
			parts[part] = strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")
		}
	}
	return parts, nil
}

// inJar notes what is in a jar. What is no archive is no matter of this package.
func inJar(path string, note func(is string)) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	defer z.Close()
	for _, f := range z.File {
		if f.UncompressedSize64 < header {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return err
		}
		is, ok, err := of(r)
		if err = errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("%s: %s: %w", filepath.Base(path), f.Name, err)
		}
		if ok {
			note(is)
		}
	}
	return nil
}

// List puts parts into a sentence, in a fixed order: "tea (for amd64)".
func List(parts map[string]string) string {
	var all []string
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		all = append(all, fmt.Sprintf("%s (for %s)", part, parts[part]))
	}
	return strings.Join(all, ", ")
}
