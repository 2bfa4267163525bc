package data

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Staging says which files of a binding of class file are laid out for each run
// of a function, and which are taken back after it.
type Staging struct {
	// In are names of files; one that ends in /* stands for all below that
	// directory, and * for all there are. {id}, {body}, {key}, {topic} and
	// {header.NAME} stand for what the event has.
	In []string
	// Out are names, or patterns of [path.Match], of what a run has made. A name
	// that it has not made is an error.
	Out []string
	// MaxFiles and MaxBytes are the most that go each way for one run.
	MaxFiles int
	MaxBytes int64
}

// FileStore is what a driver of the class file is: a store of objects that are
// files by their names, and what is staged of them.
type FileStore interface {
	ObjectStore
	ObjectLister
	Staging() Staging
}

// Files is a binding of the class file, for runtimes. Its calls as an object
// store are for functions that need no files. Any goroutine may use it.
type Files struct {
	*Object
	staging Staging
}

// NewFiles makes the handle of a driver, bounded by g, which may be nil.
func NewFiles(s FileStore, g *Guard) *Files { return &Files{NewObject(s, g), s.Staging()} }

// Varies reports whether what is laid out depends on the event.
func (f *Files) Varies() bool {
	return slices.ContainsFunc(f.staging.In, func(name string) bool { return strings.Contains(name, "{") })
}

// In lays files out in dir, which is empty. Value gives what a placeholder
// stands for. No name leads out of dir; a file that is not there is [NotFound].
func (f *Files) In(ctx context.Context, dir *os.Root, value func(placeholder string) (string, bool)) error {
	return f.run(ctx, "file.in", true, func(ctx context.Context) error {
		names, err := f.names(ctx, value)
		if err != nil {
			return err
		}
		var total int64
		for _, name := range names {
			content, _, err := f.store.Get(ctx, name, Range{}, f.guard.Max)
			if err != nil {
				return err
			}
			if total += int64(len(content)); f.staging.MaxBytes > 0 && total > f.staging.MaxBytes {
				return Errorf(TooLarge, "the files of one run are above the limit of %d bytes (maxTotal)", f.staging.MaxBytes)
			}
			if err := lay(dir, name, content); err != nil {
				return misuse(err)
			}
		}
		return nil
	})
}

func lay(dir *os.Root, name string, content []byte) error {
	if err := dir.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return dir.WriteFile(name, content, 0o644)
}

// names are those of the files to lay out.
func (f *Files) names(ctx context.Context, value func(string) (string, bool)) (names []string, err error) {
	for _, pattern := range f.staging.In {
		below, all := strings.CutSuffix(pattern, "*")
		name, err := fill(below, value)
		if err != nil {
			return nil, err
		}
		found := []string{name}
		if all {
			if found, err = f.below(ctx, name); err != nil {
				return nil, err
			}
		}
		for _, name := range found {
			if err := CheckName(name); err != nil {
				return nil, err
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if f.staging.MaxFiles > 0 && len(names) > f.staging.MaxFiles {
			return nil, Errorf(TooLarge, "one run has more than %d files (maxFiles)", f.staging.MaxFiles)
		}
	}
	return names, nil
}

// below lists what is in a directory, one file more than there may be.
func (f *Files) below(ctx context.Context, dir string) (names []string, err error) {
	if dir != "" {
		if err := CheckName(strings.TrimSuffix(dir, "/")); err != nil {
			return nil, err
		}
	}
	l, ok := f.store.(ObjectLister)
	if !ok {
		return nil, Errorf(Unsupported, "this kind of file cannot list")
	}
	limit := f.staging.MaxFiles + 1
	infos, err := l.List(ctx, dir, "", limit)
	for _, info := range infos {
		names = append(names, info.Name)
	}
	return names, err
}

// fill puts values in the place of placeholders. A value is a part of a name: it
// has no slash.
func fill(pattern string, value func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(pattern, "{")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, _ := strings.Cut(rest, "}")
		v, ok := value(name)
		if !ok || v == "" || v == "." || v == ".." || strings.ContainsAny(v, "/\\\x00") {
			return "", Errorf(Misuse, "the event's %s, %.80q, is no name of a file", name, v)
		}
		out.WriteString(v)
		pattern = after
	}
}

// Out takes back what a run has made in dir. What is no plain file, such as a
// link, is an error if it is named, and links are not followed.
func (f *Files) Out(ctx context.Context, dir *os.Root) error {
	return f.run(ctx, "file.out", true, func(ctx context.Context) error {
		names, err := f.made(dir)
		if err != nil {
			return err
		}
		contents := make([][]byte, len(names))
		var total int64
		for i, name := range names { // all are read before the first is written
			if contents[i], err = f.read(dir, name); err != nil {
				return err
			}
			if total += int64(len(contents[i])); f.staging.MaxBytes > 0 && total > f.staging.MaxBytes {
				return Errorf(TooLarge, "the files of one run are above the limit of %d bytes (maxTotal)", f.staging.MaxBytes)
			}
		}
		for i, name := range names {
			if _, err := f.store.Put(ctx, name, contents[i], PutObject{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// made finds the files that Out names.
func (f *Files) made(dir *os.Root) (names []string, err error) {
	met := make([]bool, len(f.staging.Out))
	err = fs.WalkDir(dir.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		for i, pattern := range f.staging.Out {
			if ok, _ := path.Match(pattern, name); !ok {
				continue
			}
			met[i] = true
			if slices.Contains(names, name) {
				continue
			}
			if err := CheckName(name); err != nil {
				return err
			}
			if names = append(names, name); f.staging.MaxFiles > 0 && len(names) > f.staging.MaxFiles {
				return Errorf(TooLarge, "one run has more than %d files (maxFiles)", f.staging.MaxFiles)
			}
		}
		return nil
	})
	if err != nil {
		return nil, misuse(err)
	}
	for i, pattern := range f.staging.Out {
		if !met[i] && !strings.ContainsAny(pattern, `*?[\`) {
			return nil, Errorf(Misuse, "the function has not made %s", pattern)
		}
	}
	return names, nil
}

func (f *Files) read(dir *os.Root, name string) ([]byte, error) {
	if fi, err := dir.Lstat(name); err != nil || !fi.Mode().IsRegular() {
		return nil, Errorf(Misuse, "take %s: it is no plain file", name)
	}
	file, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, misuse(err)
	}
	defer file.Close()
	fi, err := file.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("it is no plain file")
	}
	if err != nil {
		return nil, Errorf(Misuse, "take %s: %w", name, err)
	}
	if err := f.guard.fits(int(fi.Size())); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, fi.Size()))
	return content, misuse(err)
}

// misuse gives err that reason unless it has one.
func misuse(err error) error {
	if err == nil || ReasonOf(err) != 0 {
		return err
	}
	return As(Misuse, err)
}
