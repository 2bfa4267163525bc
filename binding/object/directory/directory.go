// Package directory is the binding of class object that keeps objects as files
// below a directory, out of which no name leads. All processors of the function
// on a machine share it.
package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
)

// Kind is the binding's name in a set.
const Kind = "object/directory"

// Config is the binding's attributes. The directory is the binding's own path.
type Config struct {
	binding.Limits
}

func defaults() Config { return Config{binding.DefaultLimits()} }

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	return es.Err()
}

// Factory makes directory bindings.
func Factory() binding.Factory {
	return component.Define(Kind, "Keeps objects as files of a directory.", defaults, build)
}

func build(s binding.Settings, c Config) (binding.Binding, error) {
	if s.Spec.URL != "" {
		return nil, binding.Wrong("url", "is not for directory: give the directory as path")
	}
	if s.Spec.Secret != "" {
		return nil, binding.Wrong("secret", "is not for directory")
	}
	at, err := s.Path(s.Spec.Path, s.Name)
	if err != nil {
		return nil, err
	}
	return &store{Limits: c.Limits, path: at}, nil
}

// own is where the store keeps what is no object: what is being written, a lock
// for changes, and types of content that names do not tell.
const own = ".myelin"

// store implements [data.ObjectStore].
type store struct {
	binding.Limits
	path string
	root *os.Root
}

// Open implements [binding.Binding].
func (s *store) Open(context.Context) error {
	if err := os.MkdirAll(s.path, 0o755); err != nil {
		return reason(err)
	}
	root, err := os.OpenRoot(s.path)
	if err != nil {
		return reason(err)
	}
	if err := root.MkdirAll(own+"/new", 0o700); err != nil {
		_ = root.Close()
		return reason(err)
	}
	s.root = root
	return nil
}

// Close implements [binding.Binding].
func (s *store) Close() error {
	if s.root == nil {
		return nil
	}
	return s.root.Close()
}

// Check implements [binding.Checker].
func (s *store) Check(context.Context) error {
	if s.root == nil {
		return data.Errorf(data.Away, "it is not open")
	}
	_, err := s.root.Stat(".")
	return reason(err)
}

func reason(err error) error {
	switch {
	case err == nil || data.ReasonOf(err) != 0:
		return err
	case errors.Is(err, fs.ErrNotExist):
		return data.As(data.NotFound, err)
	case errors.Is(err, fs.ErrPermission):
		return data.As(data.Denied, err)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, fs.ErrExist):
		return data.As(data.Conflict, fmt.Errorf("an object cannot have the name of another's directory: %w", err))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS):
		return data.As(data.Away, err)
	}
	return data.As(data.Misuse, err) // such as a link that leads out
}

func (s *store) check(name string) error {
	if s.root == nil {
		return data.Errorf(data.Away, "it is not open")
	}
	if name == own || strings.HasPrefix(name, own+"/") {
		return data.Errorf(data.Misuse, "names that begin with %s are the directory's own", own)
	}
	return nil
}

// version changes with each write: every one makes a new file.
func version(info fs.FileInfo) string {
	v := strconv.FormatInt(info.ModTime().UnixNano(), 36) + "-" + strconv.FormatInt(info.Size(), 36)
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		v += "-" + strconv.FormatUint(st.Ino, 36)
	}
	return v
}

func (s *store) info(name string, fi fs.FileInfo) data.Info {
	return data.Info{Name: name, Size: fi.Size(), Version: version(fi), ContentType: s.contentType(name), Modified: fi.ModTime().UTC()}
}

// contentType is the one that was given, or what the name says.
func (s *store) contentType(name string) string {
	if b, err := s.root.ReadFile(own + "/types/" + name); err == nil {
		return string(b)
	}
	return byName(name)
}

func byName(name string) string {
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// open opens an object, which is a plain file.
func (s *store) open(name string) (*os.File, fs.FileInfo, error) {
	if err := s.check(name); err != nil {
		return nil, nil, err
	}
	f, err := s.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, missing(err)
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = data.NotFound
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, reason(err)
	}
	return f, fi, nil
}

// missing is reason for an object that is looked for: a name below another
// object's is that of none.
func missing(err error) error {
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENXIO) {
		return data.As(data.NotFound, err)
	}
	return reason(err)
}

// Get implements [data.ObjectStore].
func (s *store) Get(ctx context.Context, name string, r data.Range, limit int64) ([]byte, data.Info, error) {
	f, fi, err := s.open(name)
	if err != nil {
		return nil, data.Info{}, err
	}
	defer f.Close()
	from, n, err := r.Cut(fi.Size(), limit)
	if err != nil {
		return nil, data.Info{}, err
	}
	content := data.RoomFor(ctx, n)
	if _, err := io.ReadFull(io.NewSectionReader(f, from, n), content); err != nil {
		return nil, data.Info{}, reason(err)
	}
	return content, s.info(name, fi), nil
}

// Stat implements [data.ObjectLister].
func (s *store) Stat(_ context.Context, name string) (data.Info, error) {
	f, fi, err := s.open(name)
	if err != nil {
		return data.Info{}, err
	}
	defer f.Close()
	return s.info(name, fi), nil
}

// locked runs f while no other processor changes the directory.
func (s *store) locked(f func() error) error {
	lock, err := s.root.OpenFile(own+"/lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return reason(err)
	}
	defer lock.Close() // and with it the lock goes
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX)
		if err == nil {
			return reason(f())
		}
		if !errors.Is(err, syscall.EINTR) {
			return reason(err)
		}
	}
}

// Put implements [data.ObjectStore]. The content is written aside, and then
// takes its place at once.
func (s *store) Put(_ context.Context, name string, content []byte, o data.PutObject) (v string, err error) {
	if err := s.check(name); err != nil {
		return "", err
	}
	aside, fi, err := s.writeAside(content)
	if err != nil {
		return "", err
	}
	err = s.locked(func() error {
		if err := s.holds(name, o.If); err != nil {
			return err
		}
		if err := s.root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := s.saveType(name, o.ContentType); err != nil {
			return err
		}
		return s.root.Rename(aside, name)
	})
	if err != nil {
		_ = s.root.Remove(aside)
		return "", err
	}
	return version(fi), nil
}

func (s *store) writeAside(content []byte) (string, fs.FileInfo, error) {
	aside := own + "/new/" + rand.Text()
	f, err := s.root.OpenFile(aside, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return "", nil, reason(err)
	}
	_, err = f.Write(content)
	fi, serr := f.Stat()
	if err = errors.Join(err, serr, f.Close()); err != nil {
		_ = s.root.Remove(aside)
		return "", nil, reason(err)
	}
	return aside, fi, nil
}

func (s *store) holds(name string, want *string) error {
	if want == nil {
		return nil
	}
	is := ""
	if fi, err := s.root.Stat(name); err == nil && fi.Mode().IsRegular() {
		is = version(fi)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	if is != *want {
		return data.Errorf(data.Conflict, "the object is in version %q", is)
	}
	return nil
}

func (s *store) saveType(name, contentType string) error {
	at := own + "/types/" + name
	if contentType == "" || contentType == byName(name) {
		if err := s.root.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return err
		}
		return nil
	}
	if err := s.root.MkdirAll(path.Dir(at), 0o755); err != nil {
		return err
	}
	return s.root.WriteFile(at, []byte(contentType), 0o644)
}

// Delete implements [data.ObjectStore]. Directories that it leaves empty go, too.
func (s *store) Delete(_ context.Context, name string) error {
	if err := s.check(name); err != nil {
		return err
	}
	return s.locked(func() error {
		fi, err := s.root.Lstat(name)
		if err != nil || fi.IsDir() {
			if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
				return nil
			}
			return err
		}
		if err := errors.Join(s.root.Remove(name), s.saveType(name, "")); err != nil {
			return err
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if s.root.Remove(dir) != nil { // it has other objects
				break
			}
		}
		return nil
	})
}
