package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// pack is a Debian package: one that is installed on this machine, or one of the
// archive.
type pack struct {
	name     string // with its architecture where dpkg writes it: libc6:amd64
	status   string // what dpkg knows of it, for who looks for what is in an image
	needs    [][]string
	provides []string
	// sums are the MD5 sums of its configuration files, as it brought them.
	sums map[string]string
	// Of the archive: its version, its file and the sum of that.
	version, file, sum string
}

// DebianOptions say what a base of packages is for.
type DebianOptions struct {
	// Architecture is this machine's, or that of packages which are fetched.
	Architecture string
	// Cache is a directory where packages are kept that were fetched.
	Cache string
	// AsIs takes files also if they are not as their packages brought them, for
	// packages that somebody has put together anew.
	AsIs bool
	// Layers keeps what was compressed; nil for nothing.
	Layers *Layers
}

// Debian makes a base image of packages of this machine and of what they need:
// the files that they brought, and no others. It fails if one has been changed
// since, unless it may; configuration that was, and what was removed, is left out and named in
// changed. For another architecture than this machine's the packages are fetched from where
// its apt gets them, and the same is taken of them. Manuals, documents and translations are left
// out. The machine must be of Debian's kind.
func Debian(ctx context.Context, packages []string, o DebianOptions) (img v1.Image, changed []string, err error) {
	if o.Architecture != "" && o.Architecture != Architecture() {
		img, err = fetchedDebian(ctx, packages, o)
		return img, nil, err
	}
	known, err := installed(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, err := known.closure(packages, "package %[1]s is not installed (on Debian: apt install %[1]s)")
	if err != nil {
		return nil, nil, err
	}
	files, changed, err := debianFiles(all, o.AsIs)
	if err != nil {
		return nil, nil, err
	}
	img, err = debianImage(packages, files, o)
	return img, changed, err
}

// fetchedDebian makes the base of packages of the archive.
func fetchedDebian(ctx context.Context, packages []string, o DebianOptions) (v1.Image, error) {
	if o.Layers == nil {
		return nil, errors.New("make base image: layers of fetched packages have to be kept")
	}
	a := archive{dir: filepath.Join(o.Cache, o.Architecture), architecture: o.Architecture}
	release, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer release()
	known, err := a.packages(ctx)
	if err != nil {
		return nil, err
	}
	all, err := known.closure(packages, "the archive of this machine's apt has no package %[1]s for "+o.Architecture)
	if err != nil {
		return nil, err
	}
	work := filepath.Join(a.dir, "unpacked")
	defer os.RemoveAll(work)
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o755)); err != nil {
		return nil, fmt.Errorf("unpack packages: %w", err)
	}
	files, err := a.files(ctx, all, work)
	if err != nil {
		return nil, err
	}
	return debianImage(packages, files, o)
}

func debianImage(packages []string, files []file, o DebianOptions) (img v1.Image, err error) {
	if img, err = scratch(o.Layers, o.Architecture); err != nil {
		return nil, err
	}
	if img, err = add(img, o.Layers, "packages "+strings.Join(packages, " "), files); err != nil {
		return nil, err
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	c = c.DeepCopy()
	c.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
	return mutate.ConfigFile(img, c)
}

// packs are packages by their names, and by what they provide.
type packs map[string]*pack

const fields = "${db:Status-Status}\x1f${binary:Package}\x1f${Package}\x1f${Pre-Depends}, ${Depends}\x1f${Provides}\x1f${Conffiles}\x1f" +
	"Package: ${Package}\nStatus: install ok installed\nArchitecture: ${Architecture}\nVersion: ${Version}\nSource: ${source:Package}\nMaintainer: ${Maintainer}\n\x1e"

// installed asks dpkg for all that is there.
func installed(ctx context.Context) (packs, error) {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", fields).Output()
	if err != nil {
		return nil, fmt.Errorf("ask dpkg what is installed: %w", err)
	}
	known := packs{}
	for record := range strings.SplitSeq(string(out), "\x1e") {
		f := strings.Split(record, "\x1f")
		if len(f) != 7 || f[0] != "installed" {
			continue
		}
		p := &pack{name: f[1], needs: alternatives(f[3]), status: f[6], sums: conffiles(f[5])}
		for _, names := range alternatives(f[4]) {
			p.provides = append(p.provides, names...)
		}
		known[f[2]] = p
	}
	for _, p := range slices.Collect(values(known)) {
		for _, name := range p.provides {
			if known[name] == nil {
				known[name] = p
			}
		}
	}
	return known, nil
}

// values are the packages in the order of their names, so that it is always the
// same one that provides.
func values(known packs) func(func(*pack) bool) {
	var names []string
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	return func(yield func(*pack) bool) {
		for _, name := range names {
			if !yield(known[name]) {
				return
			}
		}
	}
}

// alternatives reads a field of relations: each of the list can be met by any of
// some names. Versions are met by what is installed.
func alternatives(field string) (all [][]string) {
	for one := range strings.SplitSeq(field, ",") {
		var names []string
		for name := range strings.SplitSeq(one, "|") {
			name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
			name, _, _ = strings.Cut(name, ":")
			if name != "" {
				names = append(names, name)
			}
		}
		if names != nil {
			all = append(all, names)
		}
	}
	return all
}

// conffiles reads lines of " path sum", and of those that are obsolete.
func conffiles(field string) map[string]string {
	sums := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader([]byte(field)))
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) >= 2 {
			sums[f[0]] = f[1]
		}
	}
	return sums
}

// left out are packages that configure a machine and that nothing in an image
// calls.
var leftOut = []string{"debconf", "dpkg", "init-system-helpers", "perl-base", "ca-certificates-java", "systemd"}

// closure is packages with all that they need, in the order of their names. missing
// is what is said of one that is not there.
func (known packs) closure(names []string, missing string) (all []*pack, err error) {
	seen := map[*pack]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		p := known[name]
		if p == nil {
			return nil, fmt.Errorf(missing, name)
		}
		if seen[p] {
			continue
		}
		seen[p] = true
		all = append(all, p)
		for _, choice := range p.needs {
			if name, ok := known.first(choice); ok {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(all, func(a, b *pack) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// first is the first alternative that is there.
func (known packs) first(choice []string) (string, bool) {
	for _, name := range choice {
		if known[name] != nil {
			return name, !slices.Contains(leftOut, name)
		}
	}
	return "", false
}
