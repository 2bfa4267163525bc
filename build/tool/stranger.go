package tool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The users that programs of strangers get; the ones above them are those of
// functions.
const (
	firstStranger = 55000
	lastStranger  = 59998
)

// Stranger runs programs that nobody here wrote: what a package brings to be run
// when it is installed. If this process is root's, they are another user's, who
// has nothing but Dir, cannot become anybody else, and is no other build's at the
// same time; what they leave running is killed. Otherwise they are this user's
// own. They never get more of the environment than [Passed] says. Its life: one
// goroutine calls NewStranger, Run as often as it likes, End.
type Stranger struct {
	// Dir is its directory. Between two runs it is the caller's: to put in what
	// is needed, and to take out what came of it.
	Dir   string
	user  uint32       // 0: the same user
	claim net.Listener // on user, on this machine
}

// StrangersDir is where strangers have their directories in a data directory.
const StrangersDir = "strangers"

// NewStranger makes a directory in the data directory, or where programs keep what
// is temporary if other users cannot get there. Directories that killed processes
// left are removed when they are old.
func NewStranger(data string) (*Stranger, error) {
	s := &Stranger{}
	parent, err := filepath.Abs(filepath.Join(data, StrangersDir))
	if err == nil {
		err = os.MkdirAll(parent, 0o711)
	}
	if err != nil {
		return nil, fmt.Errorf("make directory to run programs in: %w", err)
	}
	sweep(parent)
	if os.Geteuid() == 0 {
		if !open(parent) {
			parent = os.TempDir()
		}
		if err := s.claimUser(); err != nil {
			return nil, err
		}
	}
	if s.Dir, err = os.MkdirTemp(parent, "stranger-"); err == nil {
		err = errors.Join(os.Mkdir(s.home(), 0o700), os.Mkdir(s.temp(), 0o700), s.settings())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make directory to run programs in: %w", err), s.End())
	}
	return s, nil
}

func (s *Stranger) home() string { return filepath.Join(s.Dir, ".home") }
func (s *Stranger) temp() string { return filepath.Join(s.Dir, ".tmp") }

// sweep removes what killed processes left. No build takes that long.
func sweep(parent string) {
	old, _ := filepath.Glob(filepath.Join(parent, "stranger-*"))
	for _, dir := range old {
		if fi, err := os.Stat(dir); err == nil && time.Since(fi.ModTime()) > 48*time.Hour {
			_ = os.RemoveAll(dir) // another time, then
		}
	}
}

// open tells whether every user may pass through dir.
func open(dir string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	for ; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		if fi, err := os.Stat(dir); err != nil || fi.Mode()&1 == 0 {
			return false
		}
	}
	return true
}

// claimUser takes a user that no other build of this machine has. A name in the
// kernel, rather than a file, is free again when this process dies.
func (s *Stranger) claimUser() (err error) {
	for user := uint32(firstStranger); user <= lastStranger; user++ {
		if s.claim, err = net.Listen("unix", fmt.Sprintf("@myelin-stranger-%d", user)); err != nil {
			continue
		}
		busy, err := runs(user) // somebody's whom nobody told of this range
		if err == nil && !busy {
			s.user = user
			return nil
		}
		if err = errors.Join(err, s.claim.Close()); err != nil {
			return err
		}
	}
	return fmt.Errorf("find a user to run programs as: %w", errors.Join(errors.New("all are taken"), err))
}

// settings copies what says where packages come from.
func (s *Stranger) settings() error {
	home, err := os.UserHomeDir()
	if err != nil || s.user == 0 {
		return nil //nolint:nilerr // a service of the system has none
	}
	for _, name := range []string{".config/pip/pip.conf", ".pip/pip.conf", ".npmrc", ".m2/settings.xml"} {
		text, err := os.ReadFile(filepath.Join(home, name))
		if err != nil {
			continue // there is none
		}
		to := filepath.Join(s.home(), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, text, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// Run is as the function [Run]. When it returns, nothing of what was started
// runs any more. A program that left links to files of others in Dir has failed.
func (s *Stranger) Run(ctx context.Context, c Command) (Output, error) {
	if c.Env == nil {
		c.Env = os.Environ()
	}
	c.Env = Passed(c.Env)
	if s.user == 0 {
		return Run(ctx, c)
	}
	c.Env = append(c.Env, "HOME="+s.home(), "TMPDIR="+s.temp())
	c.user = s.user
	if err := give(s.Dir, s.user); err != nil {
		return Output{}, fmt.Errorf("prepare user %d: %w", s.user, err)
	}
	out, err := Run(ctx, c)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("user %d, as whom packages are installed, may not run it: %w", s.user, err)
	}
	if rerr := errors.Join(killAll(s.user), takeBack(s.Dir, s.user)); rerr != nil {
		return out, errors.Join(err, rerr)
	}
	return out, err
}

// JavaOptions tell Java where its user's home is, which it does not take from the
// environment.
func (s *Stranger) JavaOptions() string {
	if s.user == 0 {
		return ""
	}
	return " -Duser.home=" + s.home()
}

// Borrow moves a directory that is kept between builds to where the programs may
// use it, and says where; back moves it back. The caller sees to it that nobody
// else uses it meanwhile. If this process dies, it is lost.
func (s *Stranger) Borrow(dir string) (at string, back func() error, err error) {
	if s.user == 0 {
		return dir, func() error { return nil }, nil
	}
	at = filepath.Join(s.Dir, ".borrowed")
	if err := relocate(dir, at); err != nil {
		return "", nil, fmt.Errorf("lend %s: %w", dir, err)
	}
	return at, func() error {
		if err := relocate(at, dir); err != nil {
			return fmt.Errorf("take back %s: %w", dir, err)
		}
		return nil
	}, nil
}

// relocate renames a directory, or copies it to another file system.
func relocate(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(from))
}

// End removes Dir.
func (s *Stranger) End() error {
	var errs []error
	if s.Dir != "" {
		errs = append(errs, os.RemoveAll(s.Dir))
	}
	if s.claim != nil {
		errs = append(errs, s.claim.Close())
	}
	return errors.Join(errs...)
}

// give makes all that is in dir the user's.
func give(dir string, user uint32) error {
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(user), int(user))
	})
}

// takeBack makes all that is in dir root's. Nobody else writes there any more. A
// file that is not the user's is another's, by a hard link, and its mode must not
// be changed by who comes next; who opens a pipe may wait for ever.
func takeBack(dir string, user uint32) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); !ok || st.Uid != user {
			return fmt.Errorf("take back %s: it is a link to a file of another user", path)
		}
		if t := d.Type(); !t.IsRegular() && !t.IsDir() && t != fs.ModeSymlink {
			return fmt.Errorf("take back %s: it is no file, directory or link", path)
		}
		return os.Lchown(path, 0, 0)
	})
}

// passed are the variables, or if they end in * the beginnings of variables, that
// programs of strangers get.
var passed = []string{
	"PATH", "LANG", "LC_*", "TZ", "TERM", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
	"PIP_*", "PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE", "PYTHONUNBUFFERED", "NPM_*", "NODE_*", "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "PKG_CONFIG_PATH",
	"JAVA_HOME", "MAVEN_*", "SOURCE_DATE_EPOCH",
}

// Passed leaves of an environment what programs need that install packages: this
// process's own may have secrets. More names are those of the caller. If it is not
// root's, the user's own places stay.
func Passed(env []string, more ...string) (out []string) {
	names := slices.Concat(passed, more)
	own := os.Geteuid() != 0
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		upper := strings.ToUpper(name)
		if !own && (upper == "NPM_CONFIG_CACHE" || upper == "PIP_CACHE_DIR") {
			continue // root's own, where others may not write
		}
		keep := own && (upper == "HOME" || upper == "USER" || upper == "TMPDIR" || strings.HasPrefix(upper, "XDG_"))
		for _, p := range names {
			start, any := strings.CutSuffix(p, "*")
			keep = keep || upper == p || any && strings.HasPrefix(upper, start)
		}
		if keep {
			out = append(out, v)
		}
	}
	return out
}
