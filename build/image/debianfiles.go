package image

import (
	"crypto/md5" //nolint:gosec // it is what dpkg keeps
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// dpkgInfo is where dpkg keeps what it knows of files.
const dpkgInfo = "/var/lib/dpkg/info/"

// unread are directories whose files nothing in an image reads.
var unread = []string{"/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/locale", "/usr/share/lintian", "/usr/share/bug", "/usr/share/doc-base", "/usr/share/menu"}

func isUnread(at string) bool {
	return slices.ContainsFunc(unread, func(dir string) bool { return at == dir || strings.HasPrefix(at, dir+"/") })
}

// debianFiles are the files of packages, each at the place that it has on this
// machine, whatever links lead there.
func debianFiles(all []*pack, asIs bool) (files []file, changed []string, err error) {
	seen := map[string]bool{}
	for _, p := range all {
		own, sums, err := lists(p)
		if err != nil {
			return nil, nil, err
		}
		for _, at := range own {
			f, use, err := debianFile(at, sums[at])
			if errors.Is(err, errChanged) && p.sums[at] != "" || errors.Is(err, fs.ErrNotExist) {
				changed = append(changed, at)
				continue
			}
			if asIs && errors.Is(err, errChanged) {
				err = nil
			}
			if err != nil {
				return nil, nil, fmt.Errorf("take package %s: %w", p.name, err)
			}
			if use && !seen[f.path] {
				seen[f.path] = true
				files = append(files, f)
			}
		}
		files = append(files, file{path: "/var/lib/dpkg/status.d/" + strings.ReplaceAll(p.name, ":", "_"), data: []byte(p.status), mode: 0o644})
	}
	return append(files, merged(seen)...), changed, nil
}

// merged are the links from where programs and libraries were to where they are.
func merged(seen map[string]bool) (links []file) {
	for _, at := range []string{"/bin", "/lib", "/lib64", "/sbin"} {
		if to, err := os.Readlink(at); err == nil && !seen[at] {
			links = append(links, file{path: at, link: to})
		}
	}
	return links
}

// lists are the paths of a package and the sums of its files.
func lists(p *pack) (paths []string, sums map[string]string, err error) {
	text, err := os.ReadFile(dpkgInfo + p.name + ".list")
	if err != nil {
		return nil, nil, fmt.Errorf("read files of package %s: %w", p.name, err)
	}
	sums = map[string]string{}
	for at, sum := range p.sums {
		sums[at] = sum
	}
	list, err := os.ReadFile(dpkgInfo + p.name + ".md5sums")
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a package without files has none
		return nil, nil, fmt.Errorf("read sums of package %s: %w", p.name, err)
	}
	for line := range strings.Lines(string(list)) {
		if sum, at, ok := strings.Cut(strings.TrimRight(line, "\n"), "  "); ok {
			sums["/"+at] = sum
		}
	}
	return strings.Split(strings.TrimRight(string(text), "\n"), "\n"), sums, nil
}

var errChanged = errors.New("it is not as its package brought it")

// debianFile is one path of a package; use is false for what is not taken.
func debianFile(at, sum string) (f file, use bool, err error) {
	if at == "/." || at == "" || isUnread(at) {
		return f, false, nil
	}
	dir, err := filepath.EvalSymlinks(path.Dir(at))
	if err != nil {
		return f, false, err
	}
	f = file{path: path.Join(dir, path.Base(at))}
	info, err := os.Lstat(f.path)
	if err != nil {
		return f, false, err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if to, err := os.Stat(f.path); err == nil && to.IsDir() && path.Dir(f.path) == "/" {
			return f, false, nil // of merged directories
		}
		f.link, err = os.Readlink(f.path)
		return f, true, err
	case info.IsDir():
		f.mode = fs.ModeDir | info.Mode().Perm() | info.Mode()&fs.ModeSticky
		return f, true, nil
	case !info.Mode().IsRegular():
		return f, false, nil
	}
	f.from, f.mode = f.path, info.Mode().Perm()
	return f, true, same(f.from, sum)
}

// same checks a file against a sum, "" if there is none.
func same(at, sum string) error {
	if sum == "" {
		return nil
	}
	in, err := os.Open(at)
	if err != nil {
		return err
	}
	defer in.Close()
	h := md5.New() //nolint:gosec // as above
	if _, err := io.Copy(h, in); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != sum {
		return fmt.Errorf("%s: %w", at, errChanged)
	}
	return nil
}
