package directory

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
)

// List implements [data.ObjectLister]. Directories that cannot have what is
// looked for are not read.
func (s *store) List(ctx context.Context, prefix, after string, limit int) ([]data.Info, error) {
	if s.root == nil {
		return nil, data.Errorf(data.Away, "it is not open")
	}
	l := lister{store: s, ctx: ctx, prefix: prefix, after: after, limit: limit}
	if err := l.walk("."); err != nil && !errors.Is(err, errFull) {
		return nil, reason(err)
	}
	return l.found, nil
}

var errFull = errors.New("there are as many as were asked for")

type lister struct {
	*store
	ctx           context.Context
	prefix, after string
	limit         int
	found         []data.Info
}

// walk visits a directory in the order of whole names, in which a directory
// stands where its name with a slash does.
func (l *lister) walk(dir string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	f, err := l.root.Open(dir)
	if err != nil {
		return gone(err)
	}
	entries, err := f.ReadDir(-1)
	_ = f.Close()
	if err != nil {
		return gone(err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		name := e.Name()
		if dir != "." {
			name = dir + "/" + name
		}
		if err := l.visit(name, e); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) visit(name string, e fs.DirEntry) error {
	switch {
	case name == own:
		return nil
	case e.IsDir():
		below := name + "/"
		if !strings.HasPrefix(below, l.prefix) && !strings.HasPrefix(l.prefix, below) || below < l.after && !strings.HasPrefix(l.after, below) {
			return nil
		}
		return l.walk(name)
	case !e.Type().IsRegular() || !strings.HasPrefix(name, l.prefix) || name <= l.after:
		return nil
	}
	if len(l.found) == l.limit {
		return errFull
	}
	fi, err := e.Info()
	if err != nil {
		return gone(err)
	}
	l.found = append(l.found, l.info(name, fi))
	return nil
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

// gone leaves out what was removed meanwhile.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
