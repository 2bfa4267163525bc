// Package source brings a function's sources, wherever they are, into a fresh
// directory, and finds out what the function is called, what language it is
// written in and what is configured beside the code. It knows no builder.
package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/quantity"
)

// Ref says where sources are; exactly one of Code and Path is set.
type Ref struct {
	// Path is a file, a directory, an archive, a function.yaml, or a URL of
	// http, https, or git (git+https, git+ssh, git+file; #branch may follow).
	Path string
	// Code is the source itself; it becomes a file of the name File.
	Code []byte
	File string

	// Git says that Path is a repository whatever it looks like. Revision is
	// what to check out: a branch, a tag, a reference; "" is the default.
	Git      bool
	Revision string
	Username string
	Password quantity.Secret

	Headers map[string]string // sent with an http request
	WorkDir string            // the function's directory within an archive or a repository
}

// Stager stages sources. The zero value serves, with the default limits.
type Stager struct {
	// Local allows paths of this machine, file:// repositories, and any address
	// of the network. It is for
	// a user's own command line, not for requests from elsewhere.
	Local bool
	// Networks are those that sources of a request may come from although they
	// are of this machine, its link, or the like.
	Networks []netip.Prefix
	MaxBytes int64         // most bytes of the sources unpacked; default 512 MiB
	MaxFiles int           // most files; default 50000
	Timeout  time.Duration // for downloads and git; default 5 minutes
	Client   *http.Client  // default: one that follows 10 redirects
}

const (
	defaultBytes   = 512 << 20
	defaultFiles   = 50_000
	defaultTimeout = 5 * time.Minute
)

// Stage copies the sources at ref into dest, an empty directory. It returns
// the name by which the user knows them, such as hello for ./hello.py. A
// mistake in ref or in the sources is a [*build.Error].
func (s Stager) Stage(ctx context.Context, ref Ref, dest string) (name string, err error) {
	ctx, cancel := context.WithTimeout(ctx, or(s.Timeout, defaultTimeout))
	defer cancel()
	budget := &budget{bytes: or(s.MaxBytes, defaultBytes), files: or(s.MaxFiles, defaultFiles)}
	switch {
	case ref.Code != nil:
		return stem(ref.File), s.code(ref, dest, budget)
	case ref.Path == "":
		return "", mistake("no sources: give a file, a directory, an archive or a URL")
	case ref.Git || strings.HasPrefix(ref.Path, "git+"):
		return s.git(ctx, ref, dest, budget)
	case strings.HasPrefix(ref.Path, "http://"), strings.HasPrefix(ref.Path, "https://"):
		return s.download(ctx, ref, dest, budget)
	case strings.Contains(ref.Path, "://"):
		scheme, _, _ := strings.Cut(ref.Path, "://")
		return "", mistake("cannot fetch %s: sources come from http, https or git+https, not %s", ref.Path, scheme)
	case !s.Local:
		return "", mistake("path %s: sources of a request are uploaded, or come from http, https or git, not from the server's own files", ref.Path)
	}
	return s.local(ref, dest, budget)
}

func (s Stager) code(ref Ref, dest string, b *budget) error {
	if !filepath.IsLocal(ref.File) || filepath.Base(ref.File) != ref.File {
		return mistake("file name %q: expected a name without a directory", ref.File)
	}
	if err := b.spend(ref.File, int64(len(ref.Code))); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dest, ref.File), ref.Code, 0o644)
}

func (s Stager) local(ref Ref, dest string, b *budget) (string, error) {
	path, err := filepath.Abs(ref.Path)
	if err != nil {
		return "", err
	}
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", mistake("%s: no such file or directory", ref.Path)
	case err != nil:
		return "", mistake("read sources: %v", err)
	case fi.IsDir():
		return filepath.Base(path), copyDir(path, dest, b)
	case !fi.Mode().IsRegular():
		return "", mistake("%s: neither a file nor a directory", ref.Path)
	case isConfigFile(filepath.Base(path)):
		return filepath.Base(filepath.Dir(path)), copyDir(filepath.Dir(path), dest, b)
	}
	if kind, err := sniff(path); err != nil {
		return "", err
	} else if kind != plain || archiveName(path) {
		return stem(path), s.unpack(path, filepath.Base(path), kind, ref.WorkDir, dest, b)
	}
	return stem(path), copyFile(path, filepath.Join(dest, filepath.Base(path)), fi, b, ref.Path)
}

// budget is what the sources may still take.
type budget struct {
	bytes int64
	files int
}

// spend takes size bytes for one file.
func (b *budget) spend(file string, size int64) error {
	if b.files--; b.files < 0 {
		return mistake("too many files: name those that are not needed in .myelinignore")
	}
	if b.bytes -= size; b.bytes < 0 || size < 0 {
		return &build.Error{File: file, Msg: "the sources are too large: name what is not needed in .myelinignore"}
	}
	return nil
}

func mistake(format string, args ...any) error {
	return &build.Error{Msg: fmt.Sprintf(format, args...)}
}

// stem is a file's name without its extensions.
func stem(path string) string {
	name := filepath.Base(path)
	for _, ext := range []string{".tar.gz", ".tgz", ".tar", ".zip", filepath.Ext(name)} {
		if cut, ok := strings.CutSuffix(strings.ToLower(name), ext); ok && ext != "" {
			return name[:len(cut)]
		}
	}
	return name
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
