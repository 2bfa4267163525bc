// Package over cuts finite sets into the items of a job: the lines of a file or
// of what is piped in, the files of a directory, the objects of a store. It
// knows neither jobs nor functions.
package over

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/function"
)

// Source gives the items of a set. Its life: Open, Next until it fails, Close.
type Source interface {
	// Next returns the next item, and [io.EOF] after the last.
	Next(ctx context.Context) (string, error)
	Close() error
}

// Kinds are the sources that there are, as a person writes them.
const Kinds = "file:PATH or - for lines, dir:PATH for the files of a directory, s3://BUCKET/PREFIX for objects"

// Open opens what text names: "-" for the lines of in, file:PATH, dir:PATH,
// s3://BUCKET/PREFIX, or the path alone of a file or directory that is there.
func Open(ctx context.Context, text string, in io.Reader, stores Stores) (Source, error) {
	kind, path, ok := strings.Cut(text, ":")
	switch {
	case text == "-":
		return Lines("standard input", io.NopCloser(in)), nil
	case ok && kind == "file" && path != "":
		return openLines(path)
	case ok && kind == "dir" && path != "":
		return Directory(path)
	case ok && kind == "s3":
		return stores.bucket(ctx, text)
	case ok && !strings.Contains(kind, "/") && kind != "":
		return nil, fmt.Errorf("no kind of set is called %q (there are: %s)", kind, Kinds)
	}
	st, err := os.Stat(text)
	switch {
	case err != nil:
		return nil, err
	case st.IsDir():
		return Directory(text)
	}
	return openLines(text)
}

func openLines(path string) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s is a directory: say dir:%s", path, path), f.Close())
	}
	return Lines(path, f), nil
}

// lines gives the lines of a text, without those that are empty.
type lines struct {
	name string
	r    io.ReadCloser
	in   *bufio.Scanner
	line int
}

// Lines gives the lines of r, which name tells in what goes wrong.
func Lines(name string, r io.ReadCloser) Source {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), function.MaxJobItem+2)
	return &lines{name: name, r: r, in: in}
}

func (l *lines) Next(ctx context.Context) (string, error) {
	for ctx.Err() == nil && l.in.Scan() {
		l.line++
		text := l.in.Text()
		if text == "" {
			continue
		}
		if err := function.CheckJobItem(text); err != nil {
			return "", fmt.Errorf("%s:%d: no item can be made of this line: %w", l.name, l.line, err)
		}
		return text, nil
	}
	switch err := l.in.Err(); {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, bufio.ErrTooLong):
		return "", fmt.Errorf("%s:%d: the line has more than %d bytes: put what is larger into files or objects, and let items be their names", l.name, l.line+1, function.MaxJobItem)
	case err != nil:
		return "", fmt.Errorf("read %s: %w", l.name, err)
	}
	return "", io.EOF
}

func (l *lines) Close() error { return l.r.Close() }

// names gives what was found at once.
type names struct{ left []string }

func (n *names) Next(ctx context.Context) (text string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if len(n.left) == 0 {
		return "", io.EOF
	}
	text, n.left = n.left[0], n.left[1:]
	return text, nil
}

func (n *names) Close() error { return nil }

// Directory gives the names of the files below a directory, with slashes and
// relative to it, in their order. What is no directory is a prefix: of what is
// in the directory above, the names that begin so.
func Directory(path string) (Source, error) {
	dir, prefix := path, ""
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		if dir, prefix = filepath.Split(path); dir == "" {
			dir = "."
		}
		if st, derr := os.Stat(dir); derr != nil || !st.IsDir() || strings.HasSuffix(path, "/") {
			return nil, fmt.Errorf("there is no directory %s", path)
		}
	}
	var found names
	err := filepath.WalkDir(dir, func(at string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && at != dir {
			return nil // it went meanwhile
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case e.IsDir() && name != "." && !strings.HasPrefix(name+"/", prefix) && !strings.HasPrefix(prefix, name+"/"):
			return fs.SkipDir
		case !e.Type().IsRegular() || !strings.HasPrefix(name, prefix):
			return nil
		}
		if err := function.CheckJobItem(name); err != nil {
			return fmt.Errorf("no item can be made of the name of a file below %s: %w", dir, err)
		}
		found.left = append(found.left, name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return &found, nil
}

// objects gives the names of the objects of a store.
type objects struct {
	of     data.ObjectLister
	prefix string
	close  func() error
	page   []data.Info
	after  string
	over   bool
}

// Objects gives the names of a store's objects that begin with prefix, in the
// order of their bytes. It closes with close, which may be nil.
func Objects(of data.ObjectLister, prefix string, end func() error) Source {
	return &objects{of: of, prefix: prefix, close: end}
}

// pageOf is how many names are asked for at once.
const pageOf = 1000

func (o *objects) Next(ctx context.Context) (string, error) {
	if len(o.page) == 0 && !o.over {
		page, err := o.of.List(ctx, o.prefix, o.after, pageOf)
		if err != nil {
			return "", fmt.Errorf("list objects: %w", err)
		}
		o.page, o.over = page, len(page) < pageOf
	}
	if len(o.page) == 0 {
		return "", io.EOF
	}
	name := o.page[0].Name
	o.page, o.after = o.page[1:], name
	if err := function.CheckJobItem(name); err != nil {
		return "", fmt.Errorf("no item can be made of an object's name: %w", err)
	}
	return name, nil
}

func (o *objects) Close() error {
	if o.close == nil {
		return nil
	}
	return o.close()
}
