package python

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/build/tool"
)

// recordFile is the artefact's file that names the interpreter it was made
// for. The runtime takes that one if it can.
const recordFile = "interpreter"

// find looks for the interpreter. Functions that root builds run as users of
// their own, and so root prefers one that others can run, too: one of its own
// home directory would install packages that theirs may not load.
func (b *Builder) find(ctx context.Context, wanted string) (path, version string, err error) {
	if strings.Contains(wanted, "/") {
		if err := tool.Trusted(wanted); err != nil {
			return "", "", err
		}
	}
	path, version, err = b.o.Find(ctx, wanted)
	if err != nil || os.Geteuid() != 0 || strings.Contains(wanted, "/") || openToAll(path) {
		return path, version, err
	}
	for _, candidate := range candidates(wanted) {
		got, has, err := b.o.Find(ctx, candidate)
		if err == nil && openToAll(got) && (wanted == "" || has == wanted || strings.HasPrefix(has, wanted+".")) {
			return got, has, nil
		}
	}
	return path, version, nil
}

// candidates lists the interpreters in PATH that others can run.
func candidates(wanted string) (paths []string) {
	names := []string{"python3", "python"}
	if wanted != "" {
		names = append([]string{"python" + wanted}, names...)
	}
	for _, name := range names {
		for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
			if path := filepath.Join(dir, name); filepath.IsAbs(path) && openToAll(path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// openToAll tells whether every user can run the program at path: it and the
// directories on the way are open to others, links followed.
func openToAll(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false
	}
	fi, err := os.Stat(real)
	if err != nil || !fi.Mode().IsRegular() || fi.Mode().Perm()&0o005 != 0o005 {
		return false
	}
	return openWay(filepath.Dir(path)) && openWay(filepath.Dir(real))
}

func openWay(dir string) bool {
	fi, err := os.Stat(dir)
	if err != nil || fi.Mode()&fs.FileMode(0o001) == 0 {
		return false
	}
	parent := filepath.Dir(dir)
	return parent == dir || openWay(parent)
}
