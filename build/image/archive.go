package image

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// archive is where Debian's packages for another architecture come from: the
// sources of this machine's apt, asked with directories of its own. The machine's
// packages, and what apt knows of them, are not touched. What was fetched is kept, and is enough
// where no network is.
type archive struct {
	dir, architecture string
	// sources is a list of them to be asked instead of the machine's, "" for none.
	sources string
}

// lock has the directories be this process's until release: apt reads there what
// another one writes.
func (a archive) lock() (release func(), err error) {
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory for packages: %w", err)
	}
	held, err := os.OpenFile(filepath.Join(a.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock packages: %w", err)
	}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock packages: %w", err), held.Close())
	}
	return func() { _ = held.Close() }, nil
}

// fresh is how long lists of packages are not asked for again.
const fresh = 24 * time.Hour

// packages are those that can be had.
func (a archive) packages(ctx context.Context) (packs, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, fmt.Errorf("packages for %s come by apt, which is not on this machine: make the base on a machine of %s, or take one from a registry", a.architecture, a.architecture)
	}
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			return nil, fmt.Errorf("make directory for packages: %w", err)
		}
	}
	if err := a.configure(ctx); err != nil {
		return nil, err
	}
	missing := a.update(ctx)
	text, err := a.run(ctx, a.dir, "apt-cache", "dumpavail")
	if err != nil {
		return nil, fmt.Errorf("read lists of packages: %w", err)
	}
	known := available(string(text), a.architecture)
	if len(known) == 0 && missing != nil {
		return nil, missing
	}
	return known, nil // old lists, or some of them, are better than none
}

// configure writes what apt goes by: how the machine reaches the archive, and
// directories of its own.
func (a archive) configure(ctx context.Context) error {
	dump, err := exec.CommandContext(ctx, "apt-config", "dump").Output()
	if err != nil {
		return fmt.Errorf("ask apt how it is configured: %w", err)
	}
	var conf strings.Builder
	for line := range strings.Lines(string(dump)) {
		if strings.HasPrefix(line, "Acquire::") {
			conf.WriteString(line)
		}
	}
	fmt.Fprintf(&conf, "Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\nAPT::Architecture %q;\nAPT::Architectures { %q; };\n", a.architecture, a.architecture)
	fmt.Fprintf(&conf, "Dir::State %q;\nDir::State::status %q;\nDir::Cache %q;\nAPT::Sandbox::User \"\";\nAcquire::Languages \"none\";\n",
		filepath.Join(a.dir, "state"), filepath.Join(a.dir, "status"), filepath.Join(a.dir, "cache"))
	if a.sources != "" {
		fmt.Fprintf(&conf, "Dir::Etc::sourcelist %q;\nDir::Etc::sourceparts \"/dev/null\";\n", a.sources)
	}
	err = errors.Join(os.WriteFile(filepath.Join(a.dir, "status"), nil, 0o644), os.WriteFile(filepath.Join(a.dir, "apt.conf"), []byte(conf.String()), 0o644))
	if err != nil {
		return fmt.Errorf("configure apt: %w", err)
	}
	return nil
}

// update fetches the lists, if they are old.
func (a archive) update(ctx context.Context) error {
	stamp := filepath.Join(a.dir, "updated")
	if info, err := os.Stat(stamp); err == nil && time.Since(info.ModTime()) < fresh {
		return nil
	}
	if _, err := a.run(ctx, a.dir, "apt-get", "update", "-q", "-y", "-o", "APT::Update::Error-Mode=any"); err != nil {
		return fmt.Errorf("fetch lists of packages for %s: %w", a.architecture, err)
	}
	if err := os.WriteFile(stamp, nil, 0o644); err != nil {
		return fmt.Errorf("fetch lists of packages: %w", err)
	}
	return nil
}

// run runs one of apt's programs; the error has what it complained of.
func (a archive) run(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"), "LC_ALL=C"), time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s %s: %w: %s", program, args[0], err, strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}

// priorities say which of several packages that provide the same is taken.
var priorities = []string{"required", "important", "standard", "optional"}

// available reads what apt-cache dumpavail says.
func available(text, architecture string) packs {
	known := packs{}
	var order []*pack
	rank := map[*pack]int{}
	for stanza := range strings.SplitSeq(text, "\n\n") {
		f := stanzaFields(stanza)
		name := f["Package"]
		if name == "" || known[name] != nil || f["Architecture"] != architecture && f["Architecture"] != "all" {
			continue
		}
		p := &pack{name: name, needs: alternatives(f["Pre-Depends"] + ", " + f["Depends"]), version: f["Version"], sum: f["SHA256"]}
		if f["Multi-Arch"] == "same" {
			p.name += ":" + architecture
		}
		source, _, _ := strings.Cut(f["Source"], " ")
		if source == "" {
			source = name
		}
		p.status = fmt.Sprintf("Package: %s\nStatus: install ok installed\nArchitecture: %s\nVersion: %s\nSource: %s\nMaintainer: %s\n", name, f["Architecture"], p.version, source, f["Maintainer"])
		p.file = fmt.Sprintf("%s_%s_%s.deb", name, strings.ReplaceAll(p.version, ":", "%3a"), f["Architecture"])
		for _, names := range alternatives(f["Provides"]) {
			p.provides = append(p.provides, names...)
		}
		known[name] = p
		order = append(order, p)
		if rank[p] = slices.Index(priorities, f["Priority"]); rank[p] < 0 {
			rank[p] = len(priorities)
		}
	}
	slices.SortStableFunc(order, func(a, b *pack) int {
		if d := rank[a] - rank[b]; d != 0 {
			return d
		}
		return strings.Compare(a.name, b.name)
	})
	for _, p := range order {
		for _, name := range p.provides {
			if known[name] == nil {
				known[name] = p
			}
		}
	}
	return known
}

// stanzaFields are those of one package, without what is continued.
func stanzaFields(stanza string) map[string]string {
	f := map[string]string{}
	for line := range strings.SplitSeq(stanza, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(name, " ") {
			f[name] = strings.TrimSpace(value)
		}
	}
	return f
}

// files fetches packages, and unpacks what is taken of them into work, which has
// to be there while the files are read.
func (a archive) files(ctx context.Context, all []*pack, work string) (files []file, err error) {
	if err := a.download(ctx, all); err != nil {
		return nil, err
	}
	u := &unpacking{work: work, from: map[string]string{}, seen: map[string]bool{}}
	for _, p := range all {
		if err := u.unpack(ctx, filepath.Join(a.dir, "packages", p.file)); err != nil {
			return nil, fmt.Errorf("unpack package %s: %w", p.name, err)
		}
		u.files = append(u.files, file{path: "/var/lib/dpkg/status.d/" + strings.ReplaceAll(p.name, ":", "_"), data: []byte(p.status), mode: 0o644})
	}
	for _, dir := range []string{"bin", "lib", "sbin"} {
		u.files = append(u.files, file{path: "/" + dir, link: "usr/" + dir})
	}
	if u.seen["/usr/lib64"] {
		u.files = append(u.files, file{path: "/lib64", link: "usr/lib64"})
	}
	return u.files, nil
}

// download has apt fetch what is not there, and compares all with their sums.
func (a archive) download(ctx context.Context, all []*pack) error {
	dir := filepath.Join(a.dir, "packages")
	args := []string{"download", "-q"}
	for _, p := range all {
		if !p.fetched(dir) {
			name, _, _ := strings.Cut(p.name, ":")
			args = append(args, name+"="+p.version)
		}
	}
	if len(args) > 2 {
		if _, err := a.run(ctx, dir, "apt-get", args...); err != nil {
			return fmt.Errorf("fetch packages for %s: %w", a.architecture, err)
		}
	}
	for _, p := range all {
		if !p.fetched(dir) {
			return fmt.Errorf("fetch package %s for %s: it is not what the archive's list says", p.name, a.architecture)
		}
	}
	return a.tidy(all)
}

// tidy removes other versions of packages than those that are taken now.
func (a archive) tidy(all []*pack) error {
	taken := map[string]string{}
	for _, p := range all {
		name, _, _ := strings.Cut(p.file, "_")
		taken[name] = p.file
	}
	dir := filepath.Join(a.dir, "packages")
	there, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("remove old packages: %w", err)
	}
	for _, d := range there {
		name, _, _ := strings.Cut(d.Name(), "_")
		if now := taken[name]; now != "" && now != d.Name() {
			if err := os.Remove(filepath.Join(dir, d.Name())); err != nil {
				return fmt.Errorf("remove old packages: %w", err)
			}
		}
	}
	return nil
}

// fetched tells whether the package is in dir, as the archive has it.
func (p *pack) fetched(dir string) bool {
	in, err := os.Open(filepath.Join(dir, p.file))
	if err != nil {
		return false
	}
	defer in.Close()
	h := sha256.New()
	_, err = io.Copy(h, in)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == p.sum
}

// unpacking is of several packages into one image.
type unpacking struct {
	work  string
	files []file
	from  map[string]string // by path in the image: where its content is
	seen  map[string]bool
}

func (u *unpacking) unpack(ctx context.Context, deb string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	var problems strings.Builder
	cmd.Stderr, cmd.WaitDelay = &problems, time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = u.read(tar.NewReader(bufio.NewReader(out)))
	_, _ = io.Copy(io.Discard, out) // it waits to be read
	if werr := cmd.Wait(); werr != nil {
		return fmt.Errorf("dpkg-deb: %w: %s", werr, strings.TrimSpace(problems.String()))
	}
	return err
}

func (u *unpacking) read(t *tar.Reader) error {
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := moved(path.Clean("/" + h.Name))
		if at == "" || isUnread(at) {
			continue
		}
		f := file{path: at, mode: fs.FileMode(h.Mode).Perm()}
		switch h.Typeflag {
		case tar.TypeDir:
			f.mode |= fs.ModeDir
			if h.Mode&0o1000 != 0 {
				f.mode |= fs.ModeSticky
			}
		case tar.TypeSymlink:
			f.link = h.Linkname
		case tar.TypeLink:
			if f.from = u.from[moved(path.Clean("/"+h.Linkname))]; f.from == "" {
				continue // to what is left out
			}
		case tar.TypeReg:
			if f.from, err = u.keep(t); err != nil {
				return err
			}
			u.from[at] = f.from
		default:
			continue
		}
		if !u.seen[at] {
			u.seen[at] = true
			u.files = append(u.files, f)
		}
	}
}

// keep writes a file's content below a name of its own.
func (u *unpacking) keep(r io.Reader) (string, error) {
	out, err := os.Create(filepath.Join(u.work, fmt.Sprint(len(u.from))))
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, r)
	return out.Name(), errors.Join(err, out.Close())
}

// mergedDirs are the directories that Debian has below /usr since 12, whatever
// packages say.
var mergedDirs = []string{"bin", "lib", "lib64", "sbin"}

// moved is where a path of a package is, "" if that is made otherwise.
func moved(at string) string {
	first, rest, _ := strings.Cut(strings.TrimPrefix(at, "/"), "/")
	if !slices.Contains(mergedDirs, first) {
		return strings.TrimSuffix(at, "/")
	}
	if rest == "" {
		return ""
	}
	return "/usr/" + first + "/" + rest
}
