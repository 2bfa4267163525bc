// Package workercache keeps the files of workers, and what is compiled of them,
// where functions of every user find them: one directory for each content, so
// that each build of Myelin has its own. It knows no language.
package workercache

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// shared is root's, which others read.
const shared = "/var/cache/myelin"

// Dir is the cache unless MYELIN_CACHE says otherwise: one place for all users
// if this is root, else the user's own.
func Dir() (string, error) {
	if dir := os.Getenv("MYELIN_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Getuid() == 0 {
		return shared, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache directory (set MYELIN_CACHE): %w", err)
	}
	return filepath.Join(dir, "myelin"), nil
}

// Places lists where a worker may be, the best first, the last in scratch
// unless that is "". A function under a user of its own first looks where root
// put it for all. err says why the usual place is not among them.
func Places(scratch string) (places []string, err error) {
	if os.Getenv("MYELIN_CACHE") == "" && os.Getuid() != 0 {
		places = append(places, shared)
	}
	dir, err := Dir()
	if err == nil {
		places = append(places, dir)
	}
	if scratch != "" {
		places = append(places, filepath.Join(scratch, "cache"))
	}
	return places, err
}

// Files are a worker's files by the directory that they belong in: "worker", say.
type Files map[string]fs.FS

// each walks the files in a fixed order of directories.
func (f Files) each(do func(name string, data []byte) error) error {
	for _, prefix := range sorted(f) {
		err := fs.WalkDir(f[prefix], ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := fs.ReadFile(f[prefix], path)
			if err != nil {
				return err
			}
			return do(filepath.Join(prefix, path), data)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f Files) digest() (string, error) {
	h := sha256.New()
	err := f.each(func(name string, data []byte) error {
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

// Install puts the files of a language's worker under base, if they are not
// there yet, and returns their directory. Several processes may do so at once.
func Install(base, language string, files Files) (string, error) {
	sum, err := files.digest()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, language, sum)
	if err := trusted(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := makeShared(filepath.Dir(dir)); err != nil {
		return "", fmt.Errorf("create cache: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return "", fmt.Errorf("create cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", fmt.Errorf("create cache: %w", err)
	}
	if err := files.each(func(name string, data []byte) error { return writeFile(tmp, name, data) }); err != nil {
		return "", fmt.Errorf("write worker: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil && trusted(dir) != nil {
		return "", fmt.Errorf("write worker: %w", err)
	}
	return dir, trusted(dir)
}

// makeShared makes dir and its missing parents readable for all, whatever the
// umask: functions run under other users than the one who compiles.
func makeShared(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeShared(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// writeFile writes a file that others may read, whatever the umask.
func writeFile(root, name string, data []byte) error {
	path := filepath.Join(root, name)
	if err := makeShared(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

// trusted refuses a directory that somebody else could have filled with code.
func trusted(dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("cache %s belongs to user %d: remove it, or set MYELIN_CACHE to another directory", dir, st.Uid)
	}
	if fi.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("cache %s can be written by others: remove it, or set MYELIN_CACHE to another directory", dir)
	}
	return nil
}
