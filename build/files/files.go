// Package files has the sources of a function as a list of files: what an editor
// shows and sends, and what the control plane keeps of each build so that there
// is something to show. A list is small, and its names are plain; what is not so
// is refused with the reason, and nothing of it is taken.
package files

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/source"
)

// What a list may have at most.
const (
	MaxFiles = 500
	MaxBytes = 4 << 20 // of all files together
	maxPath  = 200     // bytes of a file's path
)

// File is one file of the sources. One that is empty has neither text nor
// base64.
type File struct {
	// Where it is, relative to the sources' directory, with slashes.
	Path string `json:"path"`
	// Its content, if that is text.
	Text string `json:"text,omitempty"`
	// Its content in base 64, if that is no text.
	Base64 []byte `json:"base64,omitempty"`
	// Whether it can be run.
	Executable bool `json:"executable,omitempty"`
}

// Content is what the file holds.
func (f File) Content() []byte {
	if len(f.Base64) > 0 {
		return f.Base64
	}
	return []byte(f.Text)
}

// Check says what is wrong with a list, as a [*build.Error].
func Check(list []File) error {
	if len(list) == 0 {
		return mistake("there is no file")
	}
	if len(list) > MaxFiles {
		return mistake("there are %d files, and %d at most can be edited", len(list), MaxFiles)
	}
	total := 0
	seen := names{}
	for _, f := range list {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if err := seen.add(f.Path); err != nil {
			return err
		}
		if f.Text != "" && len(f.Base64) > 0 {
			return mistake("the file %q has both text and base64", f.Path)
		}
		if total += len(f.Content()); total > MaxBytes {
			return mistake("the files have more than %d MiB, which is the most that can be edited", MaxBytes>>20)
		}
	}
	return nil
}

// Read lists the files below dir. What cannot be sent back as it is, such as a
// link, is a [*build.Error].
func Read(dir string) ([]File, error) {
	var list []File
	total := int64(0)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if !fi.Mode().IsRegular() {
			return mistake("%q is a link", path)
		}
		if total += fi.Size(); total > MaxBytes {
			return mistake("they have more than %d MiB", MaxBytes>>20)
		}
		if len(list) == MaxFiles {
			return mistake("they are more than %d files", MaxFiles)
		}
		data, err := root.ReadFile(path)
		if err != nil {
			return err
		}
		list = append(list, fileOf(path, data, fi.Mode()&0o111 != 0))
		return nil
	})
	if err == nil {
		err = Check(list)
	}
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	return list, nil
}

func fileOf(path string, data []byte, executable bool) File {
	f := File{Path: path, Executable: executable}
	if utf8.Valid(data) && !strings.ContainsRune(string(data), 0) {
		f.Text = string(data)
	} else {
		f.Base64 = data
	}
	return f
}

// names are the paths of a list, as file systems that do not tell case see them.
type names map[string]entry

type entry struct {
	path string // as it was written
	dir  bool
}

// add takes a path, unless another is there that differs by case only or needs
// a directory of the same name.
func (n names) add(path string) error {
	for i := range len(path) {
		if path[i] != '/' {
			continue
		}
		dir := path[:i]
		had, ok := n[folded(dir)]
		if ok && !had.dir {
			return mistake("%q is a file, and so %q cannot be in it", had.path, path)
		}
		if ok && had.path != dir {
			return mistake("the directories %q and %q differ by case only", had.path, dir)
		}
		n[folded(dir)] = entry{dir, true}
	}
	switch had, ok := n[folded(path)]; {
	case ok && had.path == path && !had.dir:
		return mistake("the file %q is there twice", path)
	case ok && had.dir:
		return mistake("%q is a directory, and so no file can be called %q", had.path, path)
	case ok:
		return mistake("the files %q and %q differ by case only", had.path, path)
	}
	n[folded(path)] = entry{path, false}
	return nil
}

func folded(path string) string { return strings.ToLower(strings.ToUpper(path)) }

// checkPath takes names that look like what they are, everywhere.
func checkPath(path string) error {
	if why := wrongPath(path); why != "" {
		return mistake("a file cannot be called %q: %s", path, why)
	}
	return nil
}

func wrongPath(path string) string {
	switch {
	case path == "":
		return "a name is wanted"
	case len(path) > maxPath:
		return fmt.Sprintf("it is longer than %d bytes", maxPath)
	case !utf8.ValidString(path):
		return "it is not UTF-8"
	case strings.HasPrefix(path, "/"):
		return "want a path relative to the function's directory"
	}
	if strings.ContainsFunc(path, hides) {
		return "it has signs that are not shown"
	}
	if strings.ContainsAny(path, `\:`) {
		return `\ and : mean something else elsewhere`
	}
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "":
			return "a part of it is empty"
		case part == "." || part == "..":
			return "want a path relative to the function's directory, without . and .."
		case strings.TrimSpace(part) != part:
			return "a part of it begins or ends with a space"
		}
	}
	return source.LeftOut(path)
}

func mistake(format string, args ...any) error {
	return &build.Error{Msg: fmt.Sprintf(format, args...)}
}
