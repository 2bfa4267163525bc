package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

// Letterbox implements [platform.Letters].
func (p *Platform) Letterbox(name string) *letterbox.Box {
	return letterbox.New(letterbox.Options{Dir: p.dir("letters", filepath.Base(name))})
}

// Letterboxes implements [platform.Letters].
func (p *Platform) Letterboxes() ([]string, error) {
	dirs, err := os.ReadDir(p.dir("letters"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list letterboxes: %w", err)
	}
	var out []string
	for _, d := range dirs {
		if d.IsDir() {
			out = append(out, d.Name())
		}
	}
	return out, nil
}

// makeOwnDir makes the directory into which a function's processors put dead
// letters, or what its data bindings keep, or gives it with all that is in it to
// the function's user.
func (p *Platform) makeOwnDir(what, name string) error {
	c, err := p.users.of(name)
	if err != nil {
		return err
	}
	dir := p.dir(what, name)
	if err := os.MkdirAll(p.dir(what), 0o711); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory: %w", err)
	}
	if c == nil {
		return nil
	}
	return own(dir, int(c.Uid), int(c.Gid))
}

// keepOwn takes the letters, or what bindings kept, of a function that is
// removed from its user; without any, the directory goes.
func (p *Platform) keepOwn(what, name string) error {
	dir := p.dir(what, name)
	if err := os.Remove(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if os.Geteuid() != 0 {
		return nil
	}
	return own(dir, 0, 0)
}

// own changes whose a directory of files is. Links are left alone: the
// function may have made them.
func own(dir string, uid, gid int) error {
	if st, err := os.Lstat(dir); err == nil {
		if s, ok := st.Sys().(*syscall.Stat_t); ok && int(s.Uid) == uid {
			return nil
		}
	}
	if err := os.Lchown(dir, uid, gid); err != nil {
		return fmt.Errorf("own dead letters: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("own dead letters: %w", err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Nlink == 1 {
			if err := os.Lchown(filepath.Join(dir, f.Name()), uid, gid); err != nil {
				return fmt.Errorf("own dead letters: %w", err)
			}
		}
	}
	return nil
}

// Redrive implements [platform.Letters].
func (p *Platform) Redrive(ctx context.Context, name string, l *letter.Letter) (out letter.Outcome, err error) {
	text, err := letter.Encode(l)
	if err != nil {
		return out, err
	}
	err = fmt.Errorf("no processor of %s runs", name)
	for _, ask := range p.processors(name) {
		r := ask(ctx, http.MethodPost, "/letters", text)
		if err = r.Err(); err == nil {
			err = json.Unmarshal(r.Body, &out)
		}
		if err == nil && out.Status == http.StatusServiceUnavailable { // it stops, another may not
			err = errors.New(out.Error)
		}
		if err == nil {
			return out, nil
		}
	}
	return letter.Outcome{}, fmt.Errorf("redrive: %w", err)
}
